import { describe, expect, test } from 'vitest';
import { Reopening } from '../src/storage/reopening.ts';

class Door {
  isUsable = true;
  closed = 0;

  async close(): Promise<void> {
    this.closed++;
  }
}

describe('Reopening', () => {
  test('opens once for all who ask', async () => {
    const reopening = new Reopening<Door>();
    const doors = await Promise.all(Array.from({ length: 5 }, () => reopening.get(async () => new Door())));
    expect(new Set(doors).size).toBe(1);
  });

  test('opens again after an opening that failed', async () => {
    const reopening = new Reopening<Door>();
    await expect(reopening.get(() => Promise.reject(new Error('stuck')))).rejects.toThrow('stuck');
    await reopening.close();
    expect(await reopening.get(async () => new Door())).toBeInstanceOf(Door);
  });

  test('closes what has died and opens another, once for all who ask', async () => {
    const reopening = new Reopening<Door>();
    const dead = await reopening.get(async () => new Door());
    dead.isUsable = false;
    const doors = await Promise.all(Array.from({ length: 5 }, () => reopening.get(async () => new Door())));
    expect(new Set(doors).size).toBe(1);
    expect(doors[0]).not.toBe(dead);
    expect(dead.closed).toBe(1);
  });

  test('closes what is being opened', async () => {
    const reopening = new Reopening<Door>();
    const opening = reopening.get(async () => new Door());
    await reopening.close();
    expect((await opening).closed).toBe(1);
  });
});
