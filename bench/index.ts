import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { compare, type Comparison, type Measurement } from './compare.ts';

/** What a benchmark exports. */
interface Benchmark {
  readonly comparisons: readonly Comparison[];
  /** Called once all of them are through. */
  readonly close?: () => Promise<void>;
}

/**
 * `npm run bench [-- name …]`: runs the named benchmarks, or all. A benchmark is a file of this folder that exports
 * `comparisons`; its name is the file's.
 */
const runner = new Set(['index.ts', 'compare.ts', 'hand-written.ts', 'sweep-store.ts']);
const benchmarks = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !runner.has(file))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !benchmarks.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.map((name) => `"${name}"`).join(', ')}: there are ${benchmarks.join(', ')}`);
  process.exit(1);
}

console.log(machine());
for (const name of wanted.length > 0 ? wanted : benchmarks) {
  const { comparisons, close } = (await import(`./${name}.ts`)) as Benchmark;
  try {
    for (const comparison of comparisons) {
      console.log(`\n${name}: ${comparison.title}`);
      console.log(table(comparison, await compare(comparison)));
    }
  } finally {
    await close?.();
  }
}

function machine(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  const memory = Math.round(totalmem() / 2 ** 30);
  return [
    `marque ${version}, Node ${process.versions.node} (V8 ${process.versions.v8}), ${process.platform} ${process.arch}`,
    `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${memory} GiB`,
  ].join('\n');
}

function table({ operation, unit = 'ns' }: Comparison, measurements: readonly Measurement[]): string {
  const head = [`${unit} per ${operation}`, 'median', 'least', 'most', 'ratio', 'more', 'CPU ratio'];
  const shown = (ns: number): string => {
    const time = unit === 'ms' ? ns / 1e6 : ns;
    return time.toFixed(Math.abs(time) < 100 ? 1 : 0);
  };
  const rows = measurements.map(({ name, median, least, most, ratio, more, cpuRatio }) => [
    name,
    ...[median, least, most].map(shown),
    `${ratio.toFixed(2)}x`,
    shown(more),
    `${cpuRatio.toFixed(2)}x`,
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((cells) => (cells[column] as string).length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] as number) : cell.padStart(widths[column] as number)))
      .join('  ');
  return [head, ...rows].map(line).join('\n');
}
