import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants } from 'node:zlib';
import type { Connection } from '../duckdb.ts';
import type { TableName } from '../schema.ts';
import { damageIn, digestOf, fingerprint, isChecksum } from './checksum.ts';
import { addOf, checksumTag, deltaProtocol } from './delta-entry.ts';
import { publishIfAbsent, temporaryBeside, writeWhole } from './files.ts';
import { packState, unpackState } from './packed-state.ts';
import { patternOf } from './path-pattern.ts';
import type { TableState } from './table-state.ts';

/**
 * A checkpoint is a Parquet file that holds what the versions of a log up to its own add up to, so that nobody has to read all of
 * them. Engines find the latest by the file `_last_checkpoint`. We believe one only where its checksum stands there and fits: the versions
 * themselves are always there to be read instead.
 *
 * Beside the latest one its state stands once more, packed, in a file of ours, which engines pass over: reading that takes a twentieth of
 * what Parquet takes, and no DuckDB.
 */

/** Versions from one checkpoint to the next. */
export const checkpointEvery = 100;

/** Where the digest of our own file stands among the tags of `_last_checkpoint`. One of another form would have another tag, and name. */
const packedTag = 'marque.packed';

/** How long a removed segment is still named in checkpoints, for engines that want to know; Delta's own default. */
const tombstonesForMs = 7 * 86_400_000;

export interface Checkpoint {
  readonly version: number;
  readonly path: string;
}

/** The latest checkpoint of a log that is as it was written; null where there is none. */
export async function lastCheckpoint(logFolder: string): Promise<Checkpoint | null> {
  const said = await readFile(pointerIn(logFolder), 'utf8').then(parsed, () => null);
  if (said === null) return null;
  const path = checkpointPath(logFolder, said.version);
  const damage = await damageIn(path, said).catch(() => 'it cannot be read');
  return damage === null ? { version: said.version, path } : null;
}

/** What the latest checkpoint says, by our own file beside it; null where it cannot be had without DuckDB. */
export async function lastPacked(logFolder: string): Promise<ReturnType<typeof unpackState> | null> {
  try {
    const said = parsed(readFileSync(pointerIn(logFolder), 'utf8')); // at once: they are small, and the threads are busy loading DuckDB
    if (said === null || said.packed === null) return null;
    const packed = readFileSync(packedIn(logFolder));
    if (digestOf(packed) !== said.packed) return null; // damaged, or of another checkpoint than the pointer
    const state = unpackState((await promisify(brotliDecompress)(packed, { chunkSize: 2 ** 20 })).toString());
    return state.version === said.version ? state : null;
  } catch {
    return null; // missing: it is as good as the checkpoint, which may still be there
  }
}

/** Which version `_last_checkpoint` names, without a look at the checkpoint; -1 where there is none. */
export async function lastCheckpointVersion(logFolder: string): Promise<number> {
  return (await readFile(pointerIn(logFolder), 'utf8').then(parsed, () => null))?.version ?? -1;
}

/**
 * Writes the checkpoint of a state, unless somebody has. Durable when it resolves.
 *
 * @param convert makes a Parquet file of a file of JSON lines: `writeCheckpointSql` says how
 */
export async function writeCheckpoint(
  logFolder: string,
  table: TableName,
  state: TableState,
  convert: (lines: string, parquet: string) => Promise<void>,
): Promise<void> {
  const path = checkpointPath(logFolder, state.version);
  const [lines, parquet] = [temporaryBeside(path), temporaryBeside(path)];
  const tombstones = recentTombstones(state);
  const actions = actionsOf(table, state, tombstones);
  try {
    await writeWhole(lines, textOf(actions));
    await convert(lines, parquet);
    await publishIfAbsent(parquet, path);
  } finally {
    for (const temporary of [lines, parquet]) await rm(temporary, { force: true }).catch(() => undefined);
  }
  const packed = await compressed(packState(state, tombstones));
  await writeWhole(packedIn(logFolder), packed);
  const { bytes, checksum } = await fingerprint(path); // of the one that is there: it may be another process's
  const tags = { [checksumTag]: checksum, [packedTag]: digestOf(packed) };
  const pointer = { version: state.version, size: actions.length, sizeInBytes: bytes, tags };
  await writeWhole(pointerIn(logFolder), JSON.stringify(pointer));
}

/** The columns of a checkpoint, as the protocol has them. */
const columns = {
  txn: `STRUCT("appId" VARCHAR, "version" BIGINT, "lastUpdated" BIGINT)`,
  add: `STRUCT("path" VARCHAR, "partitionValues" MAP(VARCHAR, VARCHAR), "size" BIGINT, "modificationTime" BIGINT, "dataChange" BOOLEAN, "stats" VARCHAR, "tags" MAP(VARCHAR, VARCHAR))`,
  remove: `STRUCT("path" VARCHAR, "deletionTimestamp" BIGINT, "dataChange" BOOLEAN, "extendedFileMetadata" BOOLEAN, "partitionValues" MAP(VARCHAR, VARCHAR), "size" BIGINT)`,
  metaData: `STRUCT("id" VARCHAR, "name" VARCHAR, "description" VARCHAR, "format" STRUCT("provider" VARCHAR, "options" MAP(VARCHAR, VARCHAR)), "schemaString" VARCHAR, "partitionColumns" VARCHAR[], "configuration" MAP(VARCHAR, VARCHAR), "createdTime" BIGINT)`,
  protocol: `STRUCT("minReaderVersion" INTEGER, "minWriterVersion" INTEGER)`,
};

/** Binds the file of JSON lines, as a pattern that finds only it, and the Parquet file. */
export const writeCheckpointSql = `COPY (
  SELECT * FROM read_json($1, format = 'newline_delimited', hive_partitioning = false,
    columns = {${Object.entries(columns)
      .map(([name, type]) => `'${name}': '${type}'`)
      .join(', ')}})
) TO $2 (FORMAT parquet, PARQUET_VERSION v1, COMPRESSION zstd, USE_TMP_FILE false)`;

const readCheckpointSql = `SELECT CAST(to_json(checkpoint) AS VARCHAR)
FROM (SELECT txn, "add", remove, "metaData", protocol FROM read_parquet($1, hive_partitioning = false)) AS checkpoint`;

/** The actions of a checkpoint as the JSON lines that it was made of. */
export async function readCheckpoint(connection: Pick<Connection, 'run'>, path: string): Promise<string> {
  const { values } = await connection.run(readCheckpointSql, [patternOf(path)]);
  return (values[0] as string[]).join('\n');
}

function recentTombstones(state: TableState): ReadonlyMap<string, number> {
  const oldest = Date.now() - tombstonesForMs;
  return new Map([...state.tombstones].filter(([, removedAt]) => removedAt > oldest));
}

function actionsOf(table: TableName, state: TableState, tombstones: ReadonlyMap<string, number>): readonly object[] {
  const { segments } = state.capture();
  return [
    { protocol: { minReaderVersion: deltaProtocol.reader, minWriterVersion: deltaProtocol.writer } },
    { metaData: state.metaData },
    ...Array.from(state.batches, ([appId, version]) => ({ txn: { appId, version } })),
    ...segments.map((segment) => addOf(table, segment, false, state.committedAt)),
    ...Array.from(tombstones, ([name, deletionTimestamp]) => ({
      remove: { path: encodeURIComponent(name), deletionTimestamp, dataChange: false },
    })),
  ];
}

function* textOf(actions: readonly object[]): Generator<string> {
  for (const action of actions) yield `${JSON.stringify(action)}\n`;
}

/** Quickly: a file of some hundred bytes a segment, which are much alike. All lines may be longer than a string can be. */
async function compressed(lines: Iterable<string>): Promise<Uint8Array> {
  const bytes = Buffer.concat(Array.from(lines, (line) => Buffer.from(`${line}\n`)));
  return await promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } });
}

function parsed(text: string): { version: number; bytes: number; checksum: string; packed: string | null } | null {
  try {
    const { version, sizeInBytes: bytes, tags } = JSON.parse(text) as Record<string, unknown>;
    const { [checksumTag]: checksum, [packedTag]: packed } = (tags ?? {}) as Record<string, unknown>;
    const isWhole = Number.isSafeInteger(version) && Number.isSafeInteger(bytes) && isChecksum(checksum);
    if (!isWhole) return null;
    return {
      version: version as number,
      bytes: bytes as number,
      checksum,
      packed: typeof packed === 'string' ? packed : null,
    };
  } catch {
    return null; // damaged, or another program's: as good as none
  }
}

function checkpointPath(logFolder: string, version: number): string {
  return join(logFolder, `${String(version).padStart(20, '0')}.checkpoint.parquet`);
}

function pointerIn(logFolder: string): string {
  return join(logFolder, '_last_checkpoint');
}

function packedIn(logFolder: string): string {
  return join(logFolder, '_last_checkpoint.packed.br');
}
