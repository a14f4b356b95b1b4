import { createRequire } from 'node:module';

/**
 * The one door to DuckDB. `@duckdb/node-api` gives connections, statements and values; the module under it, `binding`, adds the
 * bulk copies in and out of vectors that the layer above keeps to itself. Use neither outside the files around `duckdb.ts`:
 * both let a caller crash the process.
 */
export {
  BIGINT,
  BLOB,
  BOOLEAN,
  DOUBLE,
  DuckDBArrayType,
  DuckDBArrayValue,
  DuckDBBlobValue,
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBDateValue,
  type DuckDBDecimalType,
  DuckDBDecimalValue,
  type DuckDBEnumType,
  type DuckDBExtractedStatements,
  DuckDBGeometryValue,
  DuckDBInstance,
  DuckDBListType,
  DuckDBListValue,
  DuckDBMapType,
  DuckDBMapValue,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  DuckDBStructType,
  DuckDBStructValue,
  DuckDBTableFunction,
  type DuckDBTableFunctionBindInfo,
  type DuckDBTableFunctionInfo,
  type DuckDBTableFunctionInitInfo,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBType,
  DuckDBTypeId,
  DuckDBUnionType,
  DuckDBUnionValue,
  type DuckDBValue,
  DuckDBVariantValue,
  DuckDBVector,
  INTEGER,
  LIST,
  listValue,
  SQLNULL,
  StatementType,
  TIMESTAMP_MS,
  VARCHAR,
} from '@duckdb/node-api';

type Binding = typeof import('@duckdb/node-bindings');

/** A vector of DuckDB's: valid only while the chunk it belongs to is referenced. */
export type Vector = ReturnType<Binding['data_chunk_get_vector']>;

// Resolved from where node-api stands, so both are always the same copy of the native library.
const require = createRequire(createRequire(import.meta.url).resolve('@duckdb/node-api'));

export const binding = require('@duckdb/node-bindings') as Binding;
