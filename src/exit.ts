const jobs = new Set<() => void>();

/**
 * Has a job done when the process ends in any way that JavaScript hears of (the end of its events, `process.exit`, an uncaught error),
 * until the returned function is called. Only what is synchronous happens any more. The job must not throw.
 */
export function onExit(job: () => void): () => void {
  if (jobs.size === 0) process.on('exit', doAll);
  jobs.add(job);
  return () => {
    jobs.delete(job);
    if (jobs.size === 0) process.off('exit', doAll);
  };
}

/** One listener for all: Node takes more than ten for a leak. */
function doAll(): void {
  for (const job of jobs) job();
}
