import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { exactJson, markNumbers } from './exact-json.ts';
import {
  type Loss,
  type PythonRun,
  PythonRunSummary,
  type PythonScope,
  type PythonStore,
  splitPythonId,
} from './python-scope.ts';

const notes = [
  'durations are those of a JsonStorage, which drops whole seconds: 1.25 s became 250 ms there',
  'numbers that are NaN or infinite were written as null there',
  'when a scope started is told by the time of its file, less its duration',
] as const;

/** A JsonStorage of the Python package: a folder with a file `<id>.json` for each scope. Scopes come in the order of their ids. */
export async function openPythonJson(folder: string): Promise<PythonStore> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  if (names.length === 0)
    throw new MarqueError('STORE_PATH', `${show(folder, 300)} holds no scope of the Python package marque, <id>.json`);
  const found = new Map<string, { readonly summary: PythonRunSummary; readonly files: string[] }>();
  const strangeIds: string[] = [];
  for (const name of names) {
    const scope = await readScope(join(folder, name));
    const id = splitPythonId(scope.id);
    if (id === null) {
      strangeIds.push(scope.id);
      continue;
    }
    const key = `${id.flow}.${id.run}`;
    const run = found.get(key) ?? { summary: new PythonRunSummary(id), files: [] };
    found.set(key, run);
    run.summary.add(scope);
    run.files.push(join(folder, name));
  }
  const runs = Array.from(found.values(), ({ summary, files }): PythonRun => {
    const { flow, run, startedAt, endedAt } = summary;
    return {
      flow,
      run,
      startedAt,
      endedAt,
      count: summary.count,
      content: summary.content(),
      async *scopes() {
        for (const file of files) yield await readScope(file);
      },
    };
  });
  return { runs: runs.sort((a, b) => a.startedAt - b.startedAt), notes, strangeIds, close: () => Promise.resolve() };
}

/** What a file holds. Its artifacts become JSON texts again, in which numbers that are wider than a JavaScript number are as they were. */
async function readScope(path: string): Promise<PythonScope> {
  const text = await readFile(path, 'utf8');
  const { mtimeMs } = await stat(path);
  try {
    const { marked, unmark } = markNumbers(text);
    const { id, error, duration } = JSON.parse(text) as Record<string, unknown>;
    const { tags, artifacts } = JSON.parse(marked) as Record<string, unknown>;
    const isWhole =
      typeof id === 'string' && Array.isArray(tags) && Array.isArray(artifacts) && (error === null || typeof error === 'string');
    if (!isWhole || !(duration === null || typeof duration === 'number')) throw new Error('it has not the members of a scope');
    const durationMs = (duration ?? 0) / 1_000;
    const lost: Loss[] = [];
    return {
      id,
      error,
      durationMs,
      startedAt: Math.floor(mtimeMs - durationMs),
      artifacts: artifacts.flatMap(({ name, value }: { name: unknown; value: unknown }) => {
        if (typeof name === 'string') return [{ name, json: unmark(JSON.stringify(value)) }];
        lost.push({ what: `artifact ${show(name)}`, why: 'its name is no text' });
        return [];
      }),
      tags: (exactJson(unmark(JSON.stringify(tags))) as { content: unknown; value: unknown }[]).flatMap(({ content, value }) => {
        if (typeof content === 'string') return [{ content, value: numberOf(content, value, lost) }];
        lost.push({ what: `tag ${show(content)}`, why: 'its content is no text' });
        return [];
      }),
      lost,
    };
  } catch (cause) {
    const message = `${show(path, 300)} is not what the Python package marque wrote: ${messageOf(cause)}`;
    throw new MarqueError('STORE_DAMAGED', message, { cause });
  }
}

/** The value of a tag. What is none, or not exactly, is added to what is lost. */
function numberOf(content: string, value: unknown, lost: Loss[]): number | null {
  if (typeof value === 'number' || value === null || value === undefined) return value ?? null;
  const what = `the value of tag ${show(content)}`;
  if (typeof value !== 'bigint') {
    lost.push({ what, why: `${show(value)} is no number` });
    return null;
  }
  const nearest = Number(value);
  if (BigInt(nearest) !== value) lost.push({ what, why: `${value} is ${nearest} here: it has more digits than a double` });
  return nearest;
}
