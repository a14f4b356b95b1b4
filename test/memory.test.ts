import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryFolder } from './folders.ts';

test('a flow of a million small scopes into a Parquet store stays under 300 MB above what the process began with', async () => {
  const program = fileURLToPath(new URL('programs/million.ts', import.meta.url));
  const folder = join(temporaryFolder(), 'history');
  const child = spawn(process.execPath, ['--import', 'tsx', program, folder, '1000000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { bytes, scopes } = JSON.parse(await text(child.stdout)) as { bytes: number; scopes: number };
  expect(scopes).toBe(1_000_000);
  expect(bytes).toBeLessThan(300e6);
}, 180_000);
