import { createRequire } from 'node:module';
import type { SuperJSON } from 'superjson';
import { bytesToTable, isArrowTable, tableToBytes } from './arrow-ipc.ts';
import { MarqueError, messageOf, show } from './error.ts';
import { isPlainJson } from './plain-json.ts';
import { errorClasses, findFault, viewClasses } from './value-fault.ts';

/** A value as it is stored: in `text` or in `bytes`, by the codec that reads it back. */
export interface Encoded {
  readonly codec: string;
  readonly text: string | null;
  readonly bytes: Uint8Array | null;
}

/**
 * Encodes a value that `decode` gives back deeply equal, -0 and NaN included; changes to the value from now on do not reach what
 * was encoded. The codecs:
 * - `json`: plain JSON.
 * - `superjson`: what JSON lacks. That is undefined, bigint, -0, NaN, the infinities, Date, RegExp, Map, Set, URL, errors with their
 *   stack and cause, typed arrays and Buffer.
 * - `bytes`: a Uint8Array, byte for byte. A Buffer that is the whole value comes back as a Uint8Array.
 * - `arrow`: a Table of apache-arrow, as an Arrow IPC stream.
 *
 * An object that occurs twice comes back as two equal ones. Throws VALUE_INVALID for what would not come back as it was, beginning
 * with `label` and the path: `artifact "model".layers[3] is a function`.
 */
export function encode(label: string, value: unknown): Encoded {
  try {
    if (isPlainJson(value)) return { codec: 'json', text: JSON.stringify(value), bytes: null };
    if (isBytes(value)) return { codec: 'bytes', text: null, bytes: new Uint8Array(value) };
    if (typeof value === 'object' && value !== null && !isBuiltIn(value) && isArrowTable(value))
      return { codec: 'arrow', text: null, bytes: tableToBytes(label, value) };
    const fault = findFault(value);
    if (fault !== null) throw new MarqueError('VALUE_INVALID', `${label}${fault.path} ${fault.what}`);
    // Superjson would also note which objects are the same one, and change the order of sets in restoring that.
    const { json, meta } = superjson().serialize(value);
    return { codec: 'superjson', text: JSON.stringify({ json, meta: { values: meta?.values, v: meta?.v } }), bytes: null };
  } catch (cause) {
    if (cause instanceof MarqueError) throw cause;
    throw new MarqueError('VALUE_INVALID', `${label} cannot be encoded: ${messageOf(cause)}`, { cause });
  }
}

/**
 * The value that was encoded, freshly made. Throws STORE_FORMAT for a codec that this version does not know, STORE_DAMAGED for a
 * text or bytes that the codec cannot have written.
 */
export function decode({ codec, text, bytes }: Encoded): unknown {
  const read = readers[codec];
  if (read === undefined)
    throw new MarqueError(
      'STORE_FORMAT',
      `a value is stored with the codec ${show(codec)}, which needs a newer version of marque`,
    );
  try {
    return read(text, bytes);
  } catch (cause) {
    throw new MarqueError('STORE_DAMAGED', `a value stored with the codec ${show(codec)} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

type Reader = (text: string | null, bytes: Uint8Array | null) => unknown;

const readers: Readonly<Record<string, Reader | undefined>> = Object.assign(Object.create(null) as object, {
  json: (text) => JSON.parse(present(text)) as unknown,
  superjson: (text) =>
    superjson().deserialize(JSON.parse(present(text)) as Parameters<SuperJSON['deserialize']>[0], { inPlace: true }),
  bytes: (_, bytes) => new Uint8Array(present(bytes)),
  arrow: (_, bytes) => bytesToTable(present(bytes)),
} satisfies Record<string, Reader>);

function present<T>(value: T | null): T {
  if (value === null) throw new TypeError('its column is empty');
  return value;
}

function isBytes(value: unknown): value is Uint8Array {
  if (!(value instanceof Uint8Array)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Uint8Array.prototype || prototype === Buffer.prototype;
}

/** Plain objects and arrays are no tables, whatever they hold: their getters are left alone. */
function isBuiltIn(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null;
}

const require = createRequire(import.meta.url);
let instance: SuperJSON | undefined;

/** Superjson, loaded at the first value that needs it, and taught what it would lose of errors and typed arrays. */
function superjson(): SuperJSON {
  if (instance === undefined) {
    const { SuperJSON } = require('superjson') as typeof import('superjson');
    instance = new SuperJSON();
    instance.registerCustom(
      { isApplicable: (value): value is Error => value instanceof Error, serialize: fromError, deserialize: toError },
      'error',
    );
    instance.registerCustom(
      { isApplicable: (value) => ArrayBuffer.isView(value), serialize: fromView, deserialize: toView },
      'view',
    );
  }
  return instance;
}

/** An error as its class and its own properties; `hidden` are those that are not enumerable. */
type ErrorFields = {
  readonly type: string;
  readonly hidden: Readonly<Record<string, never>>;
  readonly shown: Readonly<Record<string, never>>;
};

function fromError(error: Error): ErrorFields {
  const fields = (enumerable: boolean) =>
    Object.getOwnPropertyNames(error)
      .filter((key) => Object.prototype.propertyIsEnumerable.call(error, key) === enumerable)
      .map((key) => [key, (error as unknown as Record<string, never>)[key]] as const);
  return {
    type: errorClasses.get(Object.getPrototypeOf(error) as object) as string,
    hidden: Object.fromEntries(fields(false)) as ErrorFields['hidden'],
    shown: Object.fromEntries(fields(true)) as ErrorFields['shown'],
  };
}

function toError({ type, hidden, shown }: ErrorFields): Error {
  const [prototype] = [...errorClasses].find(([, name]) => name === type) ?? [];
  if (prototype === undefined) throw new TypeError(`no error class is called ${show(type)}`);
  const error = new Error();
  Object.setPrototypeOf(error, prototype);
  delete error.stack; // of this place; the one that was kept, if any, follows
  for (const [fields, enumerable] of [
    [hidden, false],
    [shown, true],
  ] as const)
    for (const [key, value] of Object.entries(fields))
      Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
  return error;
}

/** A typed array or Buffer as its class and its bytes. DuckDB runs on little-endian machines only, so they mean the same everywhere. */
type ViewFields = { readonly type: string; readonly base64: string };

function fromView(view: ArrayBufferView): ViewFields {
  return {
    type: viewClasses.get(Object.getPrototypeOf(view) as object) as string,
    base64: Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64'),
  };
}

function toView({ type, base64 }: ViewFields): ArrayBufferView {
  const [prototype] = [...viewClasses].find(([, name]) => name === type) ?? [];
  if (prototype === undefined) throw new TypeError(`no typed array is called ${show(type)}`);
  if (type === 'Buffer') return Buffer.from(base64, 'base64');
  const { buffer } = new Uint8Array(Buffer.from(base64, 'base64')); // a buffer of its own, and aligned
  return new (prototype.constructor as new (buffer: ArrayBuffer) => ArrayBufferView)(buffer);
}
