import { createRequire } from 'node:module';
import type { Data, DataType, Field, RecordBatch, Schema, Table, Vector } from 'apache-arrow';
import { MarqueError } from './error.ts';

type Arrow = typeof import('apache-arrow');

const require = createRequire(import.meta.url);
let loaded: Arrow | undefined;

/**
 * apache-arrow costs some 110 ms to load, and artifacts are recorded synchronously: it is loaded on first use, by `require`, in the
 * build that `import` gets, so that both have the same classes.
 */
function arrow(): Arrow {
  return (loaded ??= require(require.resolve('apache-arrow').replace(/\.js$/, '.mjs')) as Arrow);
}

/** Whether a value is a table of apache-arrow, of whichever copy, told without loading any. */
export function isArrowTable(value: object): value is Table {
  const { batches, schema, numRows, getChildAt } = value as Partial<Table>;
  return (
    Array.isArray(batches) && Array.isArray(schema?.fields) && typeof numRows === 'number' && typeof getChildAt === 'function'
  );
}

/** The table as an Arrow IPC stream. Throws VALUE_INVALID for a table of a version of apache-arrow that has other types. */
export function tableToBytes(label: string, table: Table): Uint8Array {
  const { Table, tableFromIPC, tableToIPC } = arrow();
  if (table.constructor === Table) return tableToIPC(table, 'stream');
  try {
    const bytes = tableToIPC(new Adoption().table(table), 'stream');
    if (tableFromIPC(bytes).numRows === table.numRows) return bytes;
  } catch (cause) {
    throw refusal(label, { cause });
  }
  throw refusal(label);
}

/** The table of an Arrow IPC stream. */
export function bytesToTable(bytes: Uint8Array): Table {
  return arrow().tableFromIPC(new Uint8Array(bytes)); // a copy, since a table is a view of aligned memory
}

function refusal(label: string, options?: ErrorOptions): MarqueError {
  const message = `${label} is a table of another apache-arrow than ours: keep the bytes of its own tableToIPC(table) instead`;
  return new MarqueError('VALUE_INVALID', message, options);
}

/**
 * Gives a table of another copy of apache-arrow (the CommonJS build, a bundler's) our classes, its buffers shared. Arrow recognises
 * its tables across copies, but not its types, and so writes batches without buffers.
 */
class Adoption {
  readonly #arrow = arrow();
  readonly #dictionaries = new Map<unknown, Vector>(); // one for all batches, or it would be written with each

  table({ schema, batches }: Table): Table {
    const ours: Schema = new this.#arrow.Schema(schema.fields.map(this.#field), schema.metadata);
    return new this.#arrow.Table(
      ours,
      batches.map((batch: RecordBatch) => new this.#arrow.RecordBatch(ours, this.#data(batch.data) as RecordBatch['data'])),
    );
  }

  #field = (field: Field): Field => new this.#arrow.Field(field.name, this.#type(field.type), field.nullable, field.metadata);

  #type<T extends DataType>(type: T): T {
    const { name } = type.constructor;
    const ours = (this.#arrow as unknown as Record<string, { readonly prototype: object } | undefined>)[name];
    if (!(ours?.prototype instanceof this.#arrow.DataType)) throw new TypeError(`no type is called ${name}`);
    const copy = Object.assign(Object.create(ours.prototype) as object, type) as Record<string, unknown>;
    const { children, dictionary, indices } = type as unknown as {
      children?: readonly Field[];
      dictionary?: DataType;
      indices?: DataType;
    };
    if (Array.isArray(children)) copy['children'] = (children as readonly Field[]).map(this.#field);
    if (dictionary) copy['dictionary'] = this.#type(dictionary);
    if (indices) copy['indices'] = this.#type(indices);
    return copy as unknown as T;
  }

  #data = (data: Data): Data => {
    const { offset, length, nullCount, valueOffsets, values, nullBitmap, typeIds, children, dictionary, variadicBuffers } = data;
    return new this.#arrow.Data(
      this.#type(data.type),
      offset,
      length,
      nullCount,
      { 0: valueOffsets, 1: values, 2: nullBitmap, 3: typeIds },
      children.map(this.#data),
      dictionary && this.#dictionary(dictionary),
      variadicBuffers,
    );
  };

  #dictionary(dictionary: Vector): Vector {
    const ours = this.#dictionaries.get(dictionary) ?? new this.#arrow.Vector(dictionary.data.map(this.#data));
    this.#dictionaries.set(dictionary, ours);
    return ours;
  }
}
