import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Outcome {
  /** Null when a signal ended the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it printed, both streams. */
  readonly output: string;
}

/**
 * Runs a script of `test/canary/` in a process of its own, which may crash.
 * @param timeout in milliseconds; then it is killed, and the signal is SIGKILL
 */
export function child(
  script: string,
  args: readonly string[] = [],
  { flags = [] as readonly string[], timeout = 5_000 } = {},
): Promise<Outcome> {
  const path = fileURLToPath(new URL(`./canary/${script}`, import.meta.url));
  const loader = script.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const spawned = spawn(process.execPath, [...loader, ...flags, path, ...args], {
    timeout,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [spawned.stdout, spawned.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  return new Promise((resolve, reject) => {
    spawned.on('error', reject);
    spawned.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}
