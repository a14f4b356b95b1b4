import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ColumnType } from '../../src/schema.ts';
import { isLarge } from '../size.ts';
import type { Columns } from './cell.ts';
import { readWithDuckDB } from './duckdb.ts';
import { readWithHyparquet } from './hyparquet.ts';
import { Program } from './program.ts';
import type { Reading } from './reading.ts';

/** What a reader opens: the transaction log of a table's folder, the store's `open.sql`, or one exported file. */
export type Source = 'log' | 'open.sql' | 'file';

export interface Reader {
  /** What people call it, and what tells it from others of the same name. */
  readonly name: string;
  readonly source: Source;
  /** False where its program is not on this machine: then it cannot be asked. */
  readonly isHere: boolean;
  /** What it cannot tell apart. Everything else it gives exactly. */
  readonly loses: Loss | null;
  /** @param path of the table's folder, the store or the file. @param relation what to select from, by `open.sql` */
  readonly read: (path: string, columns: Columns, relation?: string) => Promise<Reading>;
}

/** What happens to some values of a type on their way. */
export interface Loss {
  readonly type: ColumnType;
  /** In a few words, for people. */
  readonly what: string;
  /** Whether it happens within lists of structs as well. */
  readonly inLists: boolean;
  of(value: unknown): unknown;
}

/** A reader that is not here, and why. */
export interface MissingReader {
  readonly name: string;
  readonly why: string;
}

/** pandas has no null of its own in a column of doubles. Lists of structs are objects of Python to it. */
const nullAsNaN: Loss = {
  type: 'double',
  what: 'null becomes NaN',
  inLists: false,
  of: (value) => value ?? Number.NaN,
};

/** JavaScript's TextDecoder takes it for a byte order mark. */
const textsWithoutMark: Loss = {
  type: 'text',
  what: 'U+FEFF at the beginning is dropped',
  inLists: true,
  of: (value) => (typeof value === 'string' ? value.replace(/^\uFEFF/, '') : value),
};

/**
 * The folder that npm has put chdb into, and the path of a Python with the packages of requirements.txt, as install-readers.sh says;
 * empty where it has said why there is none.
 */
const chdb = process.env['MARQUE_CHDB'];
const python = process.env['MARQUE_PYTHON'];
/** DuckDB as old as `open.sql` says it may be, where install-readers.sh puts it. */
const oldDuckDB = join(dirname(dirname(python ?? '')), 'duckdb-1.1');
/** A Python with delta-spark, which takes minutes. */
const spark = isLarge ? process.env['MARQUE_SPARK'] : undefined;

const script = fileURLToPath(new URL('readers.py', import.meta.url));
const chdbScript = fileURLToPath(new URL('../programs/chdb-reader.ts', import.meta.url));

/** Started when they are first asked. ClickHouse opens nothing outside of its current folder. */
const programs = {
  clickHouse: programIf(
    chdb,
    () => new Program(process.execPath, ['--import', import.meta.resolve('tsx'), chdbScript], { cwd: '/' }),
  ),
  python: programIf(python, (command) => new Program(command, [script])),
  oldDuckDB: programIf(existsSync(oldDuckDB) ? python : '', (command) => {
    return new Program(command, [script], { env: { PYTHONPATH: oldDuckDB } });
  }),
  spark: programIf(spark, (command) => new Program(command, [script])),
};

/** All that there are, in the order of the table. */
export const allReaders: readonly Reader[] = [
  by('clickHouse', 'ClickHouse', 'log'),
  by('python', 'Polars', 'log'),
  by('python', 'delta-rs', 'log'),
  by('python', 'DataFusion', 'log', { name: 'DataFusion, by delta-rs' }),
  by('python', 'pandas', 'log', { name: 'pandas, by delta-rs', loses: nullAsNaN }),
  by('spark', 'Spark', 'log'),
  by('python', 'DuckDB open.sql', 'open.sql', { name: 'DuckDB 2.0' }),
  by('oldDuckDB', 'DuckDB open.sql', 'open.sql', { name: 'DuckDB 1.1' }),
  { name: 'DuckDB 1.5 for Node', source: 'open.sql', isHere: true, loses: textsWithoutMark, read: readWithDuckDB },
  by('clickHouse', 'ClickHouse parquet', 'file', { name: 'ClickHouse' }),
  by('python', 'Polars parquet', 'file', { name: 'Polars' }),
  by('python', 'pyarrow', 'file'),
  by('python', 'pandas parquet', 'file', { name: 'pandas', loses: nullAsNaN }),
  by('python', 'pandas arrow', 'file', { name: "pandas, `dtype_backend='pyarrow'`" }),
  by('python', 'DuckDB', 'file', { name: 'DuckDB 2.0' }),
  by('oldDuckDB', 'DuckDB', 'file', { name: 'DuckDB 1.1' }),
  { name: 'DuckDB 1.5 for Node', source: 'file', isHere: true, loses: textsWithoutMark, read: readWithDuckDB },
  { name: 'hyparquet', source: 'file', isHere: true, loses: textsWithoutMark, read: readWithHyparquet },
];

/** Those that open a store as it is, also while it is being written. */
export const storeReaders = allReaders.filter(({ isHere, source }) => isHere && source !== 'file');

/** Those that open an exported file. */
export const fileReaders = allReaders.filter(({ isHere, source }) => isHere && source === 'file');

/** Those that `npm test` by itself leaves out. Spark is for MARQUE_TEST_SIZE=large alone. */
export const missingReaders: readonly MissingReader[] = [
  ...(chdb === undefined ? [{ name: 'ClickHouse', why: 'MARQUE_CHDB names no folder with the npm package chdb' }] : []),
  ...(python === undefined
    ? [{ name: 'Python', why: 'MARQUE_PYTHON names none that has deltalake, duckdb, pandas, polars and pyarrow' }]
    : []),
];

/** Ends the programs that were started. */
export async function closeReaders(): Promise<void> {
  await Promise.all(Object.values(programs).map(async (program) => await program?.close()));
}

function programIf(place: string | undefined, make: (place: string) => Program): Program | null {
  return place === undefined || place === '' ? null : make(place);
}

function by(
  key: keyof typeof programs,
  reader: string,
  source: Source,
  { name = reader, loses = null as Loss | null } = {},
): Reader {
  const program = programs[key];
  return {
    name,
    source,
    loses,
    isHere: program !== null,
    async read(path, columns, relation) {
      if (program === null) throw new Error(`${name} is not here`);
      return await program.read({ reader, path, relation: relation ?? null, columns });
    },
  };
}
