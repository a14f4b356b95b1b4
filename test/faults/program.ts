import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** A program of this folder in a process of its own. */
export interface Program {
  readonly process: ChildProcess;
  /** The lines that it has printed so far, whole ones only. */
  readonly lines: readonly string[];
  /** Resolves when it has printed so many lines, or has ended. */
  until(count: number): Promise<void>;
  /** How it ended. `errors` is what it wrote on standard error. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly errors: string }>;
}

export function start(script: string, args: readonly string[], { command = [] as readonly string[], env = {} } = {}): Program {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const [executable = process.execPath, ...words] = [...command, process.execPath, path, ...args];
  const child = spawn(executable, words, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const ended = new Promise<Awaited<Program['ended']>>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, errors }));
  });
  let isOver = false;
  let rest = '';
  const waiting = new Set<() => void>();
  child.stdout.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() as string; // a line that was cut off was never said
    lines.push(...parts);
    for (const look of waiting) look();
  });
  child.on('close', () => {
    isOver = true;
    for (const look of waiting) look();
  });
  const until = async (count: number): Promise<void> => {
    let look: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      look = () => {
        if (lines.length >= count || isOver) resolve();
      };
      waiting.add(look);
      look();
    });
    waiting.delete(look);
  };
  return { process: child, lines, until, ended };
}
