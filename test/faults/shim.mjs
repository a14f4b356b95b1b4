import { createRequire, syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';

/**
 * Stands between the code under test and `node:fs`: every operation below one folder is numbered and shown to a pair of hooks, which may
 * fail it, let it hang or end the process. Importing this module puts it in place, also as a preload (`node --import`), since Node hands
 * the patched functions to modules that have imported them already. What DuckDB writes is native and not seen: a COPY is one step, whose
 * file shows up when our code opens it.
 */

const require = createRequire(import.meta.url);
const fs = require('node:fs');
const promises = require('node:fs/promises');

/** The functions as Node has them, for hooks that look at files themselves. */
export const real = { ...fs };
const realPromises = { ...promises };

/** Functions of paths, by whether they change anything. Each has a twin that ends in `Sync`. */
const changing = [
  'appendFile',
  'copyFile',
  'link',
  'mkdir',
  'rename',
  'rm',
  'rmdir',
  'symlink',
  'truncate',
  'unlink',
  'utimes',
  'writeFile',
];
const looking = ['access', 'lstat', 'readFile', 'readdir', 'readlink', 'realpath', 'stat'];
const ofTwoPaths = new Set(['copyFile', 'link', 'rename', 'symlink']);

/** Methods of a FileHandle, with the functions of a descriptor that do the same. */
const handleChanges = {
  appendFile: [],
  sync: ['fsyncSync'],
  datasync: ['fdatasyncSync'],
  truncate: ['ftruncateSync'],
  write: ['writeSync'],
};
const handleLooks = ['read', 'readFile'];
Object.assign(handleChanges, { writeFile: [], writev: ['writevSync'] });

let root = null;
let hooks = null;
let count = 0;
const descriptors = new Map();

/**
 * Counts the operations below `folder` from 1 and shows each to the hooks, until `release`.
 *
 * @param folder compared as text: a real path, without links
 * @param shown `before(operation)` may throw, which fails it, or answer 'hang'; `after(operation)` may throw as well: then it has happened
 * and is reported as failed. An operation is `{ number, name, path, to, changes }`.
 */
export function watch(folder, shown) {
  root = resolve(folder);
  hooks = shown;
  count = 0;
}

/** Lets everything through again. Returns how many operations there were. */
export function release() {
  root = hooks = null;
  return count;
}

/** An error as the system reports it. */
export function systemError(code, { name, path }) {
  const words = { EIO: 'i/o error', ENOSPC: 'no space left on device', EMFILE: 'too many open files' };
  const errno = { EIO: -5, ENOSPC: -28, EMFILE: -24 };
  const error = new Error(`${code}: ${words[code]}, ${name} '${path}'`);
  return Object.assign(error, { code, errno: errno[code], syscall: name, path });
}

function seen(name, path, to, changes) {
  if (hooks === null || typeof path !== 'string') return null;
  const isInside = (one) => typeof one === 'string' && (resolve(one) === root || resolve(one).startsWith(root + sep));
  if (!isInside(path) && !isInside(to)) return null;
  return { number: ++count, name, path: resolve(path), to: typeof to === 'string' ? resolve(to) : null, changes };
}

async function later(operation, job, undo) {
  if (operation === null) return await job();
  const { before, after } = hooks;
  if (before?.(operation) === 'hang') return await new Promise(() => {});
  const value = await job();
  try {
    after?.(operation);
  } catch (error) {
    await undo?.(value);
    throw error;
  }
  return value;
}

function now(operation, job) {
  if (operation === null) return job();
  const { before, after } = hooks;
  if (before?.(operation) === 'hang') throw new Error(`${operation.name} would hang, and it is synchronous`);
  const value = job();
  after?.(operation);
  return value;
}

for (const [names, changes] of [
  [changing, true],
  [looking, false],
]) {
  for (const name of names) {
    const to = (args) => (ofTwoPaths.has(name) ? args[1] : undefined);
    promises[name] = (...args) => later(seen(name, args[0], to(args), changes), () => realPromises[name](...args));
    const twin = `${name}Sync`;
    const patched = (...args) => now(seen(name, args[0], to(args), changes), () => real[twin](...args));
    fs[twin] = Object.assign(patched, real[twin]); // realpathSync.native
  }
}

const isWriting = (flags) => flags !== undefined && flags !== 'r' && flags !== 0;

promises.open = async (path, flags, mode) => {
  const job = () => realPromises.open(path, flags, mode);
  const handle = await later(seen('open', path, undefined, isWriting(flags)), job, (opened) => opened.close());
  for (const name of [...Object.keys(handleChanges), ...handleLooks]) {
    const method = handle[name];
    const changes = name in handleChanges;
    handle[name] = (...args) => later(seen(name, path, undefined, changes), () => method.apply(handle, args));
  }
  return handle;
};

fs.openSync = (path, flags, mode) => {
  const descriptor = now(seen('open', path, undefined, isWriting(flags)), () => real.openSync(path, flags, mode));
  descriptors.set(descriptor, path);
  return descriptor;
};

for (const [name, twins] of Object.entries(handleChanges)) {
  for (const twin of twins) {
    fs[twin] = (descriptor, ...args) =>
      now(seen(name, descriptors.get(descriptor), undefined, true), () => real[twin](descriptor, ...args));
  }
}

fs.closeSync = (descriptor) => {
  descriptors.delete(descriptor);
  real.closeSync(descriptor);
};

syncBuiltinESMExports();
