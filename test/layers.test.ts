import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { importsOf } from './imports.ts';

/**
 * The map of the code: every file of src/ from the ground up. A file loads only files above it in this list; `import type` may
 * look anywhere. A third entry gives the reason why a file is longer than 300 lines.
 */
const layers: readonly (readonly [file: string, whatItIs: string, reasonForLength?: string])[] = [
  // Words and plain data
  ['error.ts', 'the one error class, its codes, and values shown in messages'],
  ['released.ts', 'what a snapshot says after its end'],
  ['sid.ts', 'the key of a scope: run number and ordinal in one number'],
  ['schema.ts', 'the tables of a store as data'],
  ['search.ts', 'one search as plain data'],
  ['store.ts', 'the narrow interface of every storage body, and what passes through it'],
  ['tag.ts', 'a mark on a scope: a text and perhaps a number'],
  ['log.ts', 'a line of a log and its seven levels'],
  ['name.ts', 'what flows, steps and runs may be called'],
  ['path.ts', 'the position of a step, derived from who pushed it'],
  ['column.ts', 'the columns of a result, as buffers'],
  ['scope-table.ts', 'scopes as columns'],
  ['near.ts', 'the names that a wrong one may be a slip of'],
  ['slug.ts', 'the two words that name a run'],
  ['duration.ts', 'milliseconds for people'],
  ['plain-json.ts', 'which values JSON gives back exactly'],
  ['json.ts', 'canonical JSON, and the plain part of what was pushed with a step'],
  ['random.ts', 'a seeded stream of random numbers that forks by name'],
  ['value-type.ts', 'what a step can say it needs: a class, a primitive, a schema'],
  ['pace.ts', 'long work that lets others have their turn'],
  ['settled.ts', 'waits for all promises, also when one fails'],
  ['exit.ts', 'what is still done when the process ends'],
  ['options.ts', 'options completed with their defaults'],
  ['flush-policy.ts', 'when rows leave memory for the store'],
  ['text-width.ts', 'how much room a text takes on a terminal'],
  ['cell.ts', 'a value of a result in one line, for people'],
  ['display.ts', 'a table as aligned text'],
  ['html.ts', 'a table for a notebook'],
  ['show-statement.ts', 'what is still to be run, in words'],
  ['lazy.ts', 'an answer that is worked out when it is asked for'],
  ['duckdb-type.ts', 'a type of DuckDB taken apart'],

  // Values and rows on their way into a store
  ['columns.ts', 'growable columns, filled while steps run'],
  ['batch.ts', 'columns as Arrow record batches'],
  ['record-rows.ts', 'Arrow record batches as rows'],
  ['result-table.ts', 'an Arrow table that shows itself'],
  ['arrow-column.ts', 'a column of a result as Arrow has it'],
  ['arrow-table.ts', 'the answers of queries as Arrow tables'],
  ['arrow-ipc.ts', 'Arrow tables as bytes'],
  ['value-fault.ts', 'where in a value something cannot be kept'],
  ['codec.ts', 'artifacts as text or bytes, exactly or not at all'],
  ['recorder.ts', 'everything that is recorded and not yet flushed, as columns'],

  // Searching
  ['glob-normal.ts', 'its parts in their plainest form'],
  ['glob-syntax.ts', 'a glob taken apart'],
  ['glob-text.ts', 'what a glob asks of a text'],
  ['glob-dots.ts', 'which parts of a glob can be which segments of an id'],
  ['glob-id.ts', 'what it asks of the segments of an id'],
  ['text-matcher.ts', 'whether a text is like that, in linear time'],
  ['glob.ts', 'a glob, compiled'],
  ['values.ts', 'the values that a statement binds'],
  ['glob-sql.ts', 'a glob as conditions in SQL'],
  ['predicate-check.ts', 'what is a predicate, and what cannot be meant'],
  ['predicate.ts', 'conditions on scopes, as people write them'],
  ['predicate-parts.ts', 'what a predicate is made of'],
  ['predicate-sql.ts', 'a predicate as a condition in SQL'],
  ['predicate-match.ts', 'the same predicate for a scope in memory'],
  ['extent.ts', 'the part of a store that an answer can depend on'],
  ['compile.ts', 'a search as SQL'],
  ['compile-tags.ts', 'the tags that a JavaScript predicate has to judge, as SQL'],
  ['judge.ts', 'a JavaScript predicate, asked as seldom as it can be'],
  ['evaluate.ts', 'the same search over rows in memory'],

  // DuckDB, with its traps closed
  ['binding.ts', 'the door to DuckDB'],
  ['queue.ts', 'jobs one after another, or a few at a time'],
  ['quote.ts', 'names and texts inside SQL'],
  ['portable.ts', 'columns as every reader takes them'],
  ['parameters.ts', 'values bound with their types'],
  ['plain.ts', "a value of DuckDB's as a plain one"],
  ['string-vector.ts', "the texts of a vector of DuckDB's as bytes"],
  ['vector.ts', "the memory of a vector of DuckDB's"],
  ['bits.ts', 'which rows have a value, a bit each'],
  ['text-dictionary.ts', 'different texts, each kept once'],
  ['text-collector.ts', 'texts as bytes, or as a dictionary'],
  ['times.ts', 'dates and timestamps as milliseconds'],
  ['fixed-values.ts', 'values of one length, out of vectors'],
  ['spelled-collector.ts', 'values as DuckDB writes them'],
  ['gather.ts', 'rows of a column in another order'],
  ['nested-collector.ts', 'lists, structs, maps and unions as columns'],
  ['column-collector.ts', 'vectors as columns'],
  ['interruptible.ts', 'a query that can be given up, and says how far it is'],
  ['result.ts', 'a result as columns'],
  ['scan.ts', 'record batches as a table that SQL can read'],
  ['readonly.ts', 'which SELECTs are refused'],
  ['opened.ts', 'a database file is opened once in a process'],
  ['spill-folder.ts', 'where a database puts what memory cannot hold'],
  ['leave.ts', 'a process can end while a statement runs'],
  ['sql-place.ts', 'a place in SQL text, for people'],
  ['database-failure.ts', 'what a failure of DuckDB means'],
  [
    'connection.ts',
    'queries of one connection, in order and complete',
    'two uses of a native connection at once crash: all stand in one file',
  ],
  ['duckdb.ts', 'one database, closed only when nothing is under way'],

  // Stores
  ['sql.ts', 'the files of sql/'],
  ['unknown-view.ts', 'the names of the views, where one is wrong'],
  ['where.ts', 'the plain comparisons of a WHERE'],
  ['select-extent.ts', 'the part of a store that a SELECT can depend on'],
  ['recent.ts', 'the newest runs first'],
  ['read-scopes.ts', 'what was found, with everything that belongs to it'],
  ['page-sizes.ts', 'how much of what is found comes at once'],
  ['find.ts', 'what a search finds, page by page'],
  ['explanation.ts', 'how a query is answered, for people'],
  ['snapshot.ts', 'one state of a store that SQL can read'],
  ['storage/scope-rows.ts', 'a scope with its children as rows'],
  ['storage/lanes.ts', 'eight jobs at a time'],
  ['storage/reopening.ts', 'something that is opened on first use, and again when it has died'],
  ['storage/path-pattern.ts', 'a path that DuckDB takes for no pattern'],
  ['storage/limits.ts', 'how much of the machine DuckDB may use'],
  ['storage/store-path.ts', 'what can be the path of a store'],
  ['storage/free-slug.ts', 'a slug that nobody has'],
  ['storage/unwritable.ts', 'what DuckDB could not write, as our error'],
  ['storage/owner.ts', 'which process holds something, and whether it is dead'],
  ['storage/files.ts', 'files that are whole on the disk or absent'],
  ['storage/heartbeat.ts', 'that a process lives, for those who cannot see it'],
  ['storage/anchor.ts', 'whether a store is still the one that was opened'],
  ['storage/lock.ts', 'one writer for a file'],
  ['storage/spill.ts', 'a batch as text, for a process that ends'],
  ['storage/spills.ts', 'the batches that processes could not store before they ended'],
  ['storage/row-batch.ts', 'rows as a batch'],
  ['storage/heir.ts', 'what dead writers left, settled by the next one'],
  ['storage/claims.ts', 'run numbers and slugs, taken once and for ever'],
  ['storage/claim-check.ts', 'what claims say, and what is wrong with them'],
  ['storage/checksum.ts', 'whether a file is as it was written, and where it is not'],
  ['storage/segment.ts', 'a Parquet file of a table, and its name'],
  ['storage/statistics.ts', 'the ranges of the columns of a segment, in three spellings'],
  ['storage/deletion.ts', 'the event that deletes a run, and whether its rows may still be there'],
  ['storage/pruning.ts', 'which segments can be left out, by their statistics'],
  ['storage/damage.ts', 'damaged files, with their names'],
  ['storage/segment-checks.ts', 'each segment is checked before its rows are believed'],
  ['storage/delta-entry.ts', "one version of a table's log, as text"],
  ['storage/delta-actions.ts', 'that text, read back'],
  ['storage/table-state.ts', 'what a log adds up to, version by version'],
  ['storage/packed-state.ts', 'the same as columns, quickly read'],
  ['storage/checkpoint.ts', 'what many versions add up to, as one Parquet file'],
  ['storage/log-entries.ts', 'the versions of a log as files'],
  ['storage/delta-log.ts', 'the log of a table: which segments count', 'reading and committing share one state, in turns'],
  ['storage/parquet-folder.ts', 'the folder of a Parquet store'],
  ['storage/current-states.ts', 'all tables as they are now, fitting each other'],
  ['storage/past-states.ts', 'all tables as they were'],
  ['storage/segment-writer.ts', 'a batch as Parquet segments, committed'],
  ['storage/tables.ts', 'what maintenance works on'],
  ['storage/doomed-runs.ts', 'which runs are to be deleted, and may be'],
  ['storage/delete-runs.ts', 'runs, and their rows, taken out of the tables'],
  ['storage/compact.ts', 'small segments made into large ones'],
  ['storage/merge-run.ts', 'the segments of a run that has ended'],
  ['storage/vacuum.ts', 'files that nobody needs any more'],
  ['storage/log-audit.ts', 'what a log says, as far as it can be believed'],
  ['storage/segment-faults.ts', 'segments that are not as they were written'],
  ['storage/doubled-rows.ts', 'rows that are there twice'],
  ['storage/lost-claims.ts', 'claims of recorded runs that are missing'],
  ['storage/verify.ts', 'what is wrong with a store'],
  ['storage/keep-aside.ts', 'damaged files, kept'],
  ['storage/lost-merge.ts', 'segments whose rows stand in others as well'],
  ['storage/announce-rebuild.ts', 'tells everybody that versions of a log are replaced'],
  ['storage/rebuild-log.ts', 'a version of a log put together again'],
  ['storage/lost-table.ts', 'a table of which nothing is left'],
  ['storage/repair-claims.ts', 'claims of runs put in order'],
  ['storage/repair.ts', 'a damaged store made usable'],
  ['storage/segment-views.ts', 'the views over segments, each made when it is needed'],
  ['storage/parquet-reader.ts', 'the states of a Parquet store, for SQL'],
  ['storage/memory-sql.ts', 'SQL over batches that no database holds'],
  [
    'storage/parquet-store.ts',
    'a store as a folder of Delta Lake tables',
    'what is opened when, and in which order it is written and read, is one thing to see',
  ],
  ['storage/table-rows.ts', 'the rows of a record batch, by sid'],
  ['storage/memory-rows.ts', 'batches as rows, found by sid'],
  ['storage/memory-snapshot.ts', 'one state of a store that has no database'],
  ['storage/memory-store.ts', 'a store in memory'],
  ['storage/json-layout.ts', 'the lines of a JSON file, which may be longer than a string'],
  ['storage/scope-file.ts', 'a scope as JSON that a person can read'],
  ['storage/json-folder.ts', 'the folder of a JSON store'],
  ['storage/json-source.ts', 'the rows of a JSON store, read when they are needed'],
  ['storage/json-store.ts', 'a store as one JSON file a scope'],
  ['storage/acknowledged.ts', 'the last batch that a DuckDB file was told to hold'],
  ['storage/duckdb-opening.ts', 'opening a DuckDB file: locked, checked, of our format'],
  ['storage/duckdb-file.ts', 'a DuckDB file, made whole, locked and checked'],
  ['storage/duckdb-store.ts', 'a store as one DuckDB file'],

  // From one store into another, or into a file
  ['storage/chosen-runs.ts', 'which runs of a store'],
  ['storage/scope-windows.ts', 'the scopes of a store, some 32 MiB at a time'],
  ['storage/run-pieces.ts', 'all rows of a run, some 8 MiB at a time'],
  ['storage/bring-in.ts', 'a run of elsewhere at its new place, once'],
  ['storage/merge.ts', 'the runs of one store in another'],
  ['storage/exact-json.ts', 'JSON of another program, its numbers exact'],
  ['storage/row-pieces.ts', 'the rows of a Parquet file, some 16 MiB at a time'],
  ['storage/python-scope.ts', 'a scope of the Python package marque'],
  ['storage/python-json.ts', 'the JSON files of the Python package'],
  ['storage/python-parquet.ts', 'the Parquet file of the Python package'],
  ['storage/python-identity.ts', 'which runs of the Python package have been imported before'],
  ['storage/import-python.ts', 'the runs of the Python package'],
  ['storage/export-columns.ts', 'what is exported, as SELECTs'],
  ['storage/export-target.ts', 'where an export may go, and in which format'],
  ['storage/export-files.ts', 'exported rows as one file'],
  ['storage/export-duckdb.ts', 'a store as a .duckdb file of its own'],
  ['storage/export.ts', 'one file of what a store holds'],

  // What people search and query
  ['scope.ts', 'one recorded execution of a step, read back'],
  ['step.ts', 'a function with a name and declared needs'],
  ['plan.ts', 'what a person asks of a search, completed'],
  ['reading.ts', 'what is read of the scopes that are found'],
  ['query.ts', 'a lazy search'],
  ['sql-template.ts', 'a template as a statement'],
  ['sql-query.ts', 'a lazy SELECT'],
  ['run-names.ts', 'which runs a question is about'],
  ['analysis.ts', 'a file of sql/analytics/ as a statement'],
  ['analytics-rows.ts', 'what those are answered with'],
  ['grid.ts', 'a grid of parameters, and how many points it has'],
  ['analytics.ts', 'questions of many runs'],
  ['wide-columns.ts', 'which columns a wide table has, and of which types'],
  ['wide.ts', 'a table with a column for each parameter and tag'],
  ['lineage.ts', 'what scopes were made from, and what they went into'],
  ['run-logs.ts', 'the lines of one run, lazily'],
  ['writer.ts', 'rows on their way from memory into the store'],
  ['storage/history.ts', 'a history that can be read'],
  ['storage/storage.ts', 'what every storage offers', 'the facade: most of it is documentation'],
  ['storage/memory.ts', 'the storage in memory'],
  ['storage/json.ts', 'the storage of JSON files'],
  ['storage/parquet.ts', 'the storage of Parquet files'],
  ['storage/duckdb.ts', 'the storage of one DuckDB file'],

  // The engine
  ['seen.ts', 'the scopes that a step has found and recalled, each once'],
  ['retry.ts', 'how often and when a failed step is tried again'],
  ['pushing.ts', 'the types of push: what is still missing from the context'],
  ['context.ts', 'the values that a step sees'],
  ['push.ts', 'one push as it was made'],
  ['handle.ts', 'what flows and steps have in common: get, put, tag, log'],
  ['step-flow.ts', 'the flow as one step sees it'],
  ['capture.ts', 'console output goes to the step that wrote it'],
  ['attempt.ts', 'one attempt of one step'],
  ['group.ts', 'the steps of one group, and what they push'],
  ['dispatcher.ts', 'the loop that runs the steps'],
  ['interrupt.ts', 'the first Ctrl-C and the second'],
  ['stuck.ts', 'steps that can never settle'],
  ['progress.ts', 'how far a run is, for people'],
  ['run.ts', 'where and from what a run was started'],
  ['execution.ts', 'one run from its claim to its end'],
  ['flow.ts', 'the facade'],
  ['index.ts', 'what the package exports'],

  // The command line
  ['table.ts', 'a result as a table on a terminal'],
  ['cli.ts', 'the command marque'],
];

/**
 * Each runtime dependency has one door: the only file that loads it. The exception is Arrow, whose uses are loaded at different times:
 * batch.ts by the first flush, arrow-table.ts with result-table.ts by whoever asks a query for a table, and arrow-ipc.ts, which requires
 * it, by an artifact that is a table, since keeping one is synchronous.
 */
const doors: Readonly<Record<string, string>> = {
  '@duckdb/node-api': 'binding.ts',
  'apache-arrow': 'arrow-column.ts and arrow-ipc.ts and arrow-table.ts and batch.ts and result-table.ts',
  commander: 'cli.ts',
  'console-table-printer': 'table.ts',
  leven: 'near.ts',
  micromatch: 'glob-syntax.ts',
  'pure-rand': 'random.ts',
  re2js: 'text-matcher.ts',
  superjson: 'codec.ts',
  'human-id': 'slug.ts',
  uuid: 'execution.ts',
  'yocto-spinner': 'progress.ts',
};

/** Packages that come with a dependency and are reached through it, never asked for by a version of our own. */
const within: Readonly<Record<string, string>> = { '@duckdb/node-bindings': '@duckdb/node-api' };

/** Dependencies that hold declarations only: nothing loads them, one file names their types. */
const typeDoors: Readonly<Record<string, string>> = {
  '@standard-schema/spec': 'value-type.ts',
};

const root = new URL('../src/', import.meta.url);
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'));
const sources = new Map(files.map((file) => [file, readFileSync(new URL(file, root), 'utf8')]));
const height = new Map(layers.map(([file], index) => [file, index]));

interface Edge {
  readonly kind: 'value' | 'type';
  readonly importer: string;
  /** A file of src/, or a package. */
  readonly imported: string;
}

const edges: readonly Edge[] = [...sources].flatMap(([importer, source]) =>
  importsOf(source).map(({ kind, from }) => ({
    kind,
    importer,
    imported: from.startsWith('.') ? posix.join(posix.dirname(importer), from) : packageOf(from),
  })),
);

/** The dependency that `pkg/sub/path` or `@scope/pkg/sub/path` belongs to. */
function packageOf(specifier: string): string {
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  return within[name] ?? name;
}

function importersOf(name: string, kind: Edge['kind']): string[] {
  return [...new Set(edges.filter((edge) => edge.imported === name && edge.kind === kind).map((edge) => edge.importer))].sort();
}

describe('importsOf reads', () => {
  test.each([
    [`import { a } from './a.ts';`, 'value ./a.ts'],
    [`import type { A } from './a.ts';`, 'type ./a.ts'],
    [`import { type A } from './a.ts';`, 'value ./a.ts'],
    [`import {\n  a,\n  b,\n} from './a.ts';`, 'value ./a.ts'],
    [`import * as a from 'a';`, 'value a'],
    [`import './a.ts';`, 'value ./a.ts'],
    [`export * from './a.ts';`, 'value ./a.ts'],
    [`export type { A } from './a.ts';`, 'type ./a.ts'],
    [`export interface A {}\nimport type { B } from './b.ts';`, 'type ./b.ts'],
    [`const a = await import('a');`, 'value a'],
    [`const a = createRequire(import.meta.url)('a');`, 'value a'],
    [`const a = require(require.resolve('a').replace('.js', '.mjs'));`, 'value a'],
    [`let a: typeof import('a');`, 'type a'],
    [`let a: import('a').A;`, 'type a'],
    [`// import { a } from './a.ts';`, ''],
    [`/**\n import { a } from './a.ts';\n*/`, ''],
    [`const text = 'https://a'; // import('a')`, ''],
  ])('%j as %j', (source, expected) => {
    const found = importsOf(source).map(({ kind, from }) => `${kind} ${from}`);
    expect(found.join(', ')).toBe(expected);
  });
});

describe('the map', () => {
  test('lists every file of src exactly once', () => {
    expect(layers.map(([file]) => file).sort()).toEqual([...files].sort());
  });

  test('is kept: a file loads only what stands above it', () => {
    const upward = edges.filter(({ kind, importer, imported }) => {
      if (kind === 'type' || !imported.endsWith('.ts')) return false;
      return (height.get(imported) ?? Infinity) >= (height.get(importer) ?? -1);
    });
    expect(upward.map(({ importer, imported }) => `${importer} loads ${imported}`)).toEqual([]);
  });

  test('says in one line what each file is', () => {
    expect(layers.filter(([, whatItIs]) => whatItIs.length < 10 || whatItIs.includes('\n'))).toEqual([]);
  });
});

describe('dependencies', () => {
  test('each has one door, and nothing else is loaded', () => {
    const loaded = new Set(
      edges.filter(({ kind, imported }) => kind === 'value' && !isOurs(imported)).map(({ imported }) => imported),
    );
    expect(Object.fromEntries([...loaded].sort().map((name) => [name, importersOf(name, 'value').join(' and ')]))).toEqual(doors);
  });

  test('those with declarations only are named by one file', () => {
    expect(Object.fromEntries(Object.keys(typeDoors).map((name) => [name, importersOf(name, 'type').join(' and ')]))).toEqual(
      typeDoors,
    );
  });

  test('are those of package.json', () => {
    expect([...Object.keys(doors), ...Object.keys(typeDoors)].sort()).toEqual(Object.keys(manifest.dependencies).sort());
  });

  test('outside of the dependencies only Node itself is named, also in types', () => {
    const foreign = edges.filter(({ imported }) => !isOurs(imported) && !(imported in manifest.dependencies));
    expect(foreign).toEqual([]);
  });
});

function isOurs(imported: string): boolean {
  return imported.endsWith('.ts') || imported.startsWith('node:');
}

describe('length', () => {
  const lines = new Map([...sources].map(([file, source]) => [file, source.trimEnd().split('\n').length]));

  test('half of the files have fewer than 150 lines', () => {
    const sorted = [...lines.values()].sort((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(150);
  });

  test('a file of more than 300 lines has its reason in the map, a shorter one has none', () => {
    const long = [...lines].filter(([, count]) => count > 300).map(([file]) => file);
    expect(
      layers
        .filter(([, , reason]) => reason !== undefined)
        .map(([file]) => file)
        .sort(),
    ).toEqual(long.sort());
  });
});
