import { utimes } from 'node:fs/promises';

const heartbeatMs = 10_000;

/**
 * Touches a file every ten seconds, without keeping the process alive, until the returned function is called: its modification time tells
 * those who cannot see the process that it lives.
 */
export function beat(path: string): () => Promise<void> {
  let touching: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    const now = new Date();
    touching = utimes(path, now, now).catch(() => undefined); // a lapsed heartbeat says as much as an error would
  }, heartbeatMs).unref();
  return async () => {
    clearInterval(timer);
    await touching;
  };
}
