import { type DuckDBTypeTree, parseDuckDBType } from './duckdb-type.ts';
import { quoteName, quoteText } from './quote.ts';

/**
 * What a column becomes so that every reader opens it without harm: VARCHAR, DOUBLE, INTEGER, BOOLEAN, lists and structs of them; BLOB,
 * BIGINT and TIMESTAMP_MS at the top level only, since a duckdb-wasm in wide use corrupts 64-bit integers inside lists.
 */

/** A column by its name and its type in DuckDB. */
export interface TypedColumn {
  readonly name: string;
  readonly type: DuckDBTypeTree;
}

/** A value as SQL: the expression that makes it, and its type. */
interface Made {
  readonly sql: string;
  readonly type: DuckDBTypeTree;
}

/** What a kind of file needs to be done to a plain value; null where nothing. */
type Change = (sql: string, type: string, isNested: boolean) => { readonly sql: string; readonly type: string } | null;

/**
 * The columns as SELECT expressions whose types are portable, and those types. HUGEINT and UBIGINT fail where a value is beyond BIGINT;
 * DECIMAL becomes the nearest DOUBLE, as do whole numbers of 64 bits inside lists and structs; times inside them are texts, ISO 8601 in UTC.
 * A time that is infinite, or not in the years 1 to 9999, fails.
 */
export function portableColumns(columns: readonly { readonly name: string; readonly type: string }[]): {
  readonly select: string;
  readonly columns: readonly TypedColumn[];
} {
  return selected(
    columns.map(({ name, type }) => ({ name, type: parseDuckDBType(type) })),
    toPortable,
  );
}

/** Portable columns, from a Parquet file that holds them. Its times come back in microseconds. */
export function fromParquet(columns: readonly TypedColumn[]): string {
  return selected(columns, (sql, type) => (type === 'TIMESTAMP_MS' ? { sql: `${sql}::TIMESTAMP_MS`, type } : null)).select;
}

/** Portable columns for JSON: what is no number there is text, `"NaN"`, `"Infinity"`; times are ISO 8601 in UTC, bytes base64. */
export function forJson(columns: readonly TypedColumn[]): string {
  return selected(columns, toJson).select;
}

/** Portable columns for CSV: lists and structs are JSON text, times ISO 8601 in UTC, bytes base64. */
export function forCsv(columns: readonly TypedColumn[]): string {
  return columns
    .map((column) => {
      if (column.type.kind === 'plain')
        return selected([column], (sql, type) => (type === 'DOUBLE' ? null : toJson(sql, type))).select;
      const { sql } = changed(quoteName(column.name), column.type, toJson, false);
      return `to_json(${sql})::VARCHAR AS ${quoteName(column.name)}`;
    })
    .join(', ');
}

function selected(columns: readonly TypedColumn[], change: Change): { select: string; columns: readonly TypedColumn[] } {
  const made = columns.map(({ name, type }) => ({ name, ...changed(quoteName(name), type, change, false) }));
  return {
    select: made.map(({ name, sql }) => `${sql} AS ${quoteName(name)}`).join(', '),
    columns: made.map(({ name, type }) => ({ name, type })),
  };
}

function changed(sql: string, type: DuckDBTypeTree, change: Change, isNested: boolean, depth = 0): Made {
  const item = `x${depth}`;
  switch (type.kind) {
    case 'plain': {
      const done = change(sql, type.name, isNested);
      return done === null ? { sql, type } : { sql: done.sql, type: { kind: 'plain', name: done.type } };
    }
    case 'list': {
      const inner = changed(item, type.item, change, true, depth + 1);
      return {
        sql: inner.sql === item ? sql : `list_transform(${sql}, lambda ${item}: ${inner.sql})`,
        type: { kind: 'list', item: inner.type },
      };
    }
    case 'map': {
      const fields = (['key', 'value'] as const).map((name) => ({ name, type: type[name] }));
      return changed(`map_entries(${sql})`, { kind: 'list', item: { kind: 'struct', fields } }, change, isNested, depth);
    }
    case 'struct': {
      const fields = type.fields.map((field) => {
        const whole = `struct_extract(${sql}, ${quoteText(field.name)})`;
        return { name: field.name, whole, ...changed(whole, field.type, change, true, depth) };
      });
      const made: DuckDBTypeTree = { kind: 'struct', fields: fields.map(({ name, type: inner }) => ({ name, type: inner })) };
      if (fields.every((field) => field.sql === field.whole)) return { sql, type: made };
      const packed = fields.map((field) => `${quoteName(field.name)} := ${field.sql}`).join(', ');
      return { sql: `CASE WHEN ${sql} IS NOT NULL THEN struct_pack(${packed}) END`, type: made };
    }
  }
}

const isoFormat = '%Y-%m-%dT%H:%M:%S.%gZ';

function toPortable(sql: string, type: string, isNested: boolean): { sql: string; type: string } | null {
  const cast = (to: string) => ({ sql: `${sql}::${to}`, type: to });
  if (/^(VARCHAR|DOUBLE|INTEGER|BOOLEAN)$/.test(type)) return null;
  if (/^U?(TINY|SMALL)INT$/.test(type)) return cast('INTEGER');
  if (/^(FLOAT|DECIMAL\(.*\))$/.test(type)) return cast('DOUBLE');
  if (/^(U?(BIG|HUGE)INT|UINTEGER|BIGNUM)$/.test(type))
    return isNested ? cast('DOUBLE') : type === 'BIGINT' ? null : cast('BIGINT');
  if (/^(TIMESTAMP.*|DATE)$/.test(type)) {
    const time = checkedTime(type === 'TIMESTAMP' ? sql : `${sql}::TIMESTAMP`);
    if (isNested) return { sql: iso(time, 'TIMESTAMP'), type: 'VARCHAR' };
    return { sql: `${time}::TIMESTAMP_MS`, type: 'TIMESTAMP_MS' };
  }
  if (/^(BLOB|GEOMETRY)$/.test(type))
    return isNested ? { sql: `to_base64(${sql}::BLOB)`, type: 'VARCHAR' } : { sql: `${sql}::BLOB`, type: 'BLOB' };
  return cast('VARCHAR');
}

/** Beyond these years, and for the infinite times of DuckDB, readers disagree or fail. Times with a zone are UTC here, as every database is. */
function checkedTime(sql: string): string {
  const advice = 'a time is infinite or not in the years 1 to 9999, which not every reader takes: cast the column to VARCHAR';
  return `CASE WHEN ${sql} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN ${sql}
    WHEN ${sql} IS NOT NULL THEN error('${advice}') END`;
}

function toJson(sql: string, type: string): { sql: string; type: string } | null {
  if (type === 'DOUBLE') {
    const special = `CASE WHEN isnan(${sql}) THEN 'NaN' WHEN ${sql} > 0 THEN 'Infinity' ELSE '-Infinity' END`;
    return {
      sql: `CASE WHEN isfinite(${sql}) THEN to_json(${sql}) WHEN ${sql} IS NOT NULL THEN to_json(${special}) END`,
      type: 'JSON',
    };
  }
  if (type === 'TIMESTAMP_MS') return { sql: iso(sql, type), type: 'VARCHAR' };
  return type === 'BLOB' ? { sql: `to_base64(${sql})`, type: 'VARCHAR' } : null;
}

function iso(sql: string, type: string): string {
  return `strftime(${sql}${type === 'TIMESTAMP' ? '' : '::TIMESTAMP'}, '${isoFormat}')`;
}
