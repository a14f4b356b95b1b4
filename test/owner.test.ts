import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { currentOwner, isProvenDead, type Owner } from '../src/storage/owner.ts';

/** The pid of a process that has ended just now. */
function endedPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid;
}

const linux = existsSync('/proc/self/stat');

describe('an owner is proven dead', () => {
  test.each<[string, () => Partial<Owner>, boolean]>([
    ['not while it is this process', () => ({}), false],
    ['not while its process runs', () => ({ pid: process.ppid, processStartedAt: null }), false],
    ['when its process has ended', () => ({ pid: endedPid() }), true],
    ['not when it is on another machine, whatever its pid', () => ({ host: 'elsewhere', pid: endedPid() }), false],
  ])('%s', (_name, change, dead) => {
    expect(isProvenDead({ ...currentOwner(), ...change() })).toBe(dead);
  });

  test.runIf(linux).each<[string, Partial<Owner>]>([
    ['when its pid has gone to another process', { processStartedAt: 1 }],
    ['when the machine has been started again since', { bootId: '00000000-0000-0000-0000-000000000000' }],
  ])('%s', (_name, change) => {
    expect(isProvenDead({ ...currentOwner(), ...change })).toBe(true);
  });
});

test.runIf(linux)('on Linux an owner knows its boot and when it started', () => {
  expect(currentOwner()).toMatchObject({ pid: process.pid, bootId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(currentOwner().processStartedAt).toBeGreaterThan(0);
});
