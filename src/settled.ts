/** `Promise.all` that waits for the others too if one fails: by the time it rejects, nothing of it goes on in the background. */
export async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
