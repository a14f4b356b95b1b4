import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBStorage, Flow, MemoryStorage, ParquetStorage, repeat, type StepFlow, type Storage } from 'marque';
import type { Comparison } from './compare.ts';

/**
 * A step with two tags and an artifact, from its dispatch until it is durable. The baseline writes the same facts as one line of
 * JSON a step and syncs the file once at the end, which is what one would write by hand, and safe only from then on.
 */
const steps = 20_000;

function work(flow: StepFlow): void {
  flow.tag('loss', 0.25);
  flow.tag('accuracy', 0.75);
  flow.keep('result', { predictions: [1, 0, 1, 1, 0, 1, 0, 0], label: 'a small artifact of some hundred bytes', score: 0.5 });
}

async function jsonLines(): Promise<void> {
  await inFolder((folder) => {
    const file = openSync(join(folder, 'scopes.jsonl'), 'w');
    for (let index = 0; index < steps; index++) {
      const started = performance.now();
      const tags = [
        { content: 'loss', value: 0.25 },
        { content: 'accuracy', value: 0.75 },
      ];
      const result = { predictions: [1, 0, 1, 1, 0, 1, 0, 0], label: 'a small artifact of some hundred bytes', score: 0.5 };
      const scope = {
        id: `write.work.brave-otters.0-${index}`,
        status: 'ok',
        startedAt: Date.now(),
        tags,
        artifacts: { result },
      };
      writeSync(file, `${JSON.stringify({ ...scope, durationMs: performance.now() - started })}\n`);
    }
    fsyncSync(file);
    closeSync(file);
  });
}

function flowInto(make: (folder: string) => Storage): () => Promise<void> {
  return () =>
    inFolder(async (folder) => {
      await using storage = make(folder);
      await new Flow('write', storage, { capture: false }).push(repeat(work, steps)).execute();
    });
}

async function inFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'marque-bench-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const comparisons: readonly Comparison[] = [
  {
    title: `a step with two tags and an artifact, ${steps.toLocaleString('en-US')} of them, until durable; opening and closing the store included`,
    operation: 'step',
    operations: steps,
    contenders: [
      { name: 'JSON lines, one write a step', run: jsonLines },
      { name: 'Flow into MemoryStorage', run: flowInto(() => new MemoryStorage()) },
      { name: 'Flow into ParquetStorage', run: flowInto((folder) => new ParquetStorage(join(folder, 'history'))) },
      { name: 'Flow into DuckDBStorage', run: flowInto((folder) => new DuckDBStorage(join(folder, 'history.duckdb'))) },
    ],
  },
];
