import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** A program of this folder in a process of its own. */
export interface Program {
  readonly process: ChildProcess;
  /** The lines that it has printed so far, whole ones only. */
  readonly lines: readonly string[];
  /** Resolves at the first line, or when it has ended. */
  readonly spoke: Promise<void>;
  /** How it ended. `errors` is what it wrote on standard error. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly errors: string }>;
}

export function start(
  script: string,
  args: readonly string[],
  { command = [] as readonly string[], env = {} as Readonly<Record<string, string>> } = {},
): Program {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const [executable, ...rest] = [...command, process.execPath, path, ...args] as [string, ...string[]];
  const child = spawn(executable, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const ended = new Promise<Awaited<Program['ended']>>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, errors }));
  });
  const spoke = new Promise<void>((resolve) => {
    child.on('close', () => resolve());
    let rest = '';
    child.stdout.on('data', (data: Buffer) => {
      const parts = (rest + data.toString()).split('\n');
      rest = parts.pop() as string; // a line that was cut off was never said
      lines.push(...parts);
      if (lines.length > 0) resolve();
    });
  });
  return { process: child, lines, spoke, ended };
}
