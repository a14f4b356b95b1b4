import { Bench } from 'tinybench';

/** One way of doing the work. A call does it `Comparison.operations` times, so that the clock's resolution does not matter. */
export interface Contender {
  readonly name: string;
  readonly run: () => void | Promise<void>;
}

/** What one benchmark compares. The first contender is the baseline of the ratio column. */
export interface Comparison {
  readonly title: string;
  /** What one operation is, in the singular: the table says what one of it takes. */
  readonly operation: string;
  /** The unit of the table. Nanoseconds by default. */
  readonly unit?: 'ns' | 'ms';
  /** Operations in one call of a contender. */
  readonly operations: number;
  readonly contenders: readonly [baseline: Contender, ...others: Contender[]];
}

/** A contender's median over the rounds, with the rounds' extremes. Nanoseconds for one operation. */
export interface Measurement {
  readonly name: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Median of the ratios to the baseline, each taken within one round: what slows the machine for a while slows both. */
  readonly ratio: number;
  /** Median of what it takes more than the baseline, each taken within one round. Nanoseconds for one operation. */
  readonly more: number;
  /** Median of the ratios of processor time, of all threads: what it costs also where something else slows the machine unevenly. */
  readonly cpuRatio: number;
}

/** Calls of each contender in one round, of which the median counts. One is enough where a call takes milliseconds. */
const callsPerRound = { ns: 3, ms: 1 } as const;

/**
 * Measures all contenders in turn, round after round, so that a change of the machine's pace meets each of them alike. The order
 * reverses from round to round: nobody always runs on a warm or a dirty heap. The first round only warms up.
 */
export async function compare({ operations, unit = 'ns', contenders }: Comparison, rounds = 9): Promise<Measurement[]> {
  const rows = contenders.map(({ name }) => ({ name, times: [] as number[], cpu: [] as number[] }));
  for (let round = 0; round <= rounds; round++) {
    const turn = contenders.map((contender, index) => [contender, index] as const);
    for (const [contender, index] of round % 2 === 0 ? turn : turn.toReversed()) {
      const before = process.cpuUsage();
      const time = await nanoseconds(contender, operations, callsPerRound[unit]);
      const { user, system } = process.cpuUsage(before);
      if (round === 0) continue;
      rows[index]?.times.push(time);
      rows[index]?.cpu.push(user + system);
    }
  }
  const [baseline, baselineCpu] = [rows[0]?.times ?? [], rows[0]?.cpu ?? []];
  return rows.map(({ name, times, cpu }) => ({
    name,
    median: median(times),
    least: Math.min(...times),
    most: Math.max(...times),
    ratio: median(times.map((time, round) => time / (baseline[round] as number))),
    more: median(times.map((time, round) => time - (baseline[round] as number))),
    cpuRatio: median(cpu.map((time, round) => time / (baselineCpu[round] as number))),
  }));
}

async function nanoseconds({ name, run }: Contender, operations: number, calls: number): Promise<number> {
  const bench = new Bench({ iterations: calls, time: 0, warmup: false, throws: true, retainSamples: true });
  await bench.add(name, run).run();
  const result = bench.tasks[0]?.result;
  if (result?.state !== 'completed') throw new Error(`benchmark "${name}" did not complete`);
  return (median(result.latency.samples ?? []) * 1e6) / operations;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
