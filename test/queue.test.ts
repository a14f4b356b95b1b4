import { setTimeout as after } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Queue } from '../src/queue.ts';

describe('a queue', () => {
  it.each([1, 2, 3])('runs jobs in order, at most %i at once', async (width) => {
    const queue = new Queue(width);
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const jobs = Array.from({ length: 10 }, (_, index) =>
      queue.add(async () => {
        begun.push(index);
        most = Math.max(most, ++running);
        await after(index % 3);
        running--;
        return index;
      }),
    );
    expect(await Promise.all(jobs)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(width);
  });

  it('goes on after a job that throws, at once or later', async () => {
    const queue = new Queue(1);
    const thrown = queue.add(() => {
      throw new RangeError('at once');
    });
    const rejected = queue.add(() => Promise.reject(new RangeError('later')));
    const fine = queue.add(() => Promise.resolve('fine'));
    await expect(thrown).rejects.toThrow('at once');
    await expect(rejected).rejects.toThrow('later');
    await expect(fine).resolves.toBe('fine');
  });

  it('gives up a job whose signal aborts while it waits, and lets one that runs go on', async () => {
    const queue = new Queue(1);
    const aborter = new AbortController();
    const begun: string[] = [];
    const job = (name: string, signal?: AbortSignal) =>
      queue.add(() => after(5).then(() => begun.push(name)), signal).catch((error: Error) => error.message);
    const outcomes = [job('running', aborter.signal), job('waiting', aborter.signal), job('other')];
    aborter.abort(new RangeError('given up'));
    expect(await Promise.all([...outcomes, job('late', aborter.signal)])).toEqual([1, 'given up', 2, 'given up']);
    expect(begun).toEqual(['running', 'other']);
    await queue.drain();
  });

  it('drains when the last job has ended, and at once when there is none', async () => {
    const queue = new Queue(2);
    await queue.drain();
    const ended: string[] = [];
    const job = (name: string, milliseconds: number) => queue.add(() => after(milliseconds).then(() => void ended.push(name)));
    void job('a', 5);
    void job('b', 1).then(() => job('late', 5));
    void job('c', 10);
    await queue.drain();
    expect(ended.toSorted()).toEqual(['a', 'b', 'c', 'late']);
  });
});
