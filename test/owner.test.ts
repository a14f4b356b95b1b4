import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { currentOwner, isProvenDead, isSeenAlive, type Owner } from '../src/storage/owner.ts';

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
    ['not when its pid is of another container', () => ({ pidNamespace: 'pid:[1]', pid: endedPid() }), false],
  ])('%s', (_name, change, dead) => {
    expect(isProvenDead({ ...currentOwner(), ...change() })).toBe(dead);
  });

  test.runIf(linux).each<[string, Partial<Owner>]>([
    ['when its pid has gone to another process', { processStartedAt: 1 }],
    ['when the machine has been started again since', { bootId: '00000000-0000-0000-0000-000000000000' }],
    [
      'when the machine has, whichever container it was in',
      { bootId: '00000000-0000-0000-0000-000000000000', pidNamespace: 'pid:[1]' },
    ],
  ])('%s', (_name, change) => {
    expect(isProvenDead({ ...currentOwner(), ...change })).toBe(true);
  });
});

test.runIf(linux)('an owner that does not say its container is not proven dead by its pid', () => {
  const { pidNamespace: _, ...older } = currentOwner();
  for (const owner of [{ ...older, pidNamespace: null }, older as Owner]) {
    expect(isProvenDead({ ...owner, pid: endedPid() })).toBe(false);
    expect(isSeenAlive(owner)).toBe(false);
  }
});

test('an owner is seen to live only by who can see it', () => {
  expect(isSeenAlive({ ...currentOwner(), pid: process.ppid, processStartedAt: null })).toBe(true);
  expect(isSeenAlive({ ...currentOwner(), pid: endedPid() })).toBe(false);
  expect(isSeenAlive({ ...currentOwner(), host: 'elsewhere' })).toBe(false);
  expect(isSeenAlive({ ...currentOwner(), pidNamespace: 'pid:[1]' })).toBe(false);
});

test.runIf(linux)('on Linux an owner knows its boot and when it started', () => {
  expect(currentOwner()).toMatchObject({ pid: process.pid, bootId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(currentOwner().processStartedAt).toBeGreaterThan(0);
  expect(currentOwner().pidNamespace).toMatch(/^pid:\[\d+\]$/);
});
