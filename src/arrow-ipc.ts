import { createRequire } from 'node:module';
import { MarqueError } from './error.ts';

/** What is used of an Arrow table, so that one is recognised without loading apache-arrow. */
export interface ArrowTable {
  readonly schema: { readonly fields: readonly unknown[] };
  readonly batches: readonly unknown[];
  readonly numRows: number;
  getChildAt(index: number): unknown;
}

type Arrow = typeof import('apache-arrow');

const require = createRequire(import.meta.url);

/**
 * apache-arrow costs some 110 ms to load, and recording artifacts is synchronous: it is loaded on first use, by `require`. There are
 * two builds, whose classes do not know each other. ES modules, this library among them, get the one in Arrow.node.mjs.
 */
let loaded: Arrow | undefined;
const commonJs = (): Arrow => require('apache-arrow') as Arrow;
const esModule = (): Arrow => (loaded ??= require(require.resolve('apache-arrow').replace(/\.js$/, '.mjs')) as Arrow);

/** Whether a value looks like a Table of apache-arrow, of whichever copy. */
export function isArrowTable(value: object): value is ArrowTable {
  const { batches, schema, numRows, getChildAt } = value as Partial<ArrowTable>;
  return Array.isArray(batches) && Array.isArray(schema?.fields) && typeof numRows === 'number' && typeof getChildAt === 'function';
}

/** The table as an Arrow IPC stream. Throws VALUE_INVALID for a table of another version of apache-arrow. */
export function tableToBytes(label: string, table: ArrowTable): Uint8Array {
  for (const arrow of [esModule, commonJs]) {
    const { Table, tableToIPC } = arrow();
    if (table instanceof Table) return tableToIPC(table, 'stream');
  }
  throw new MarqueError('VALUE_INVALID', `${label} is an Arrow table of another copy of apache-arrow: keep the bytes of tableToIPC(table) instead`);
}

/** The table of an Arrow IPC stream. */
export function bytesToTable(bytes: Uint8Array): ArrowTable {
  return esModule().tableFromIPC(new Uint8Array(bytes)); // a copy, since a table is a view of aligned memory
}
