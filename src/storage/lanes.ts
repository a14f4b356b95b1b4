/** Does a job for each item, at most eight at once. Rejects with the first error, when nothing is under way any more. */
export async function inLanes<T>(items: Iterable<T>, job: (item: T) => Promise<void>): Promise<void> {
  const queue = eachOf(items);
  const lane = async () => {
    for (const item of queue) await job(item); // an error closes the generator, which ends the other lanes too
  };
  const results = await Promise.allSettled(Array.from({ length: 8 }, lane));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function* eachOf<T>(items: Iterable<T>): Generator<T> {
  yield* items;
}
