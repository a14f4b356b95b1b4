/**
 * Why a SELECT must not run although it is one, or null. A SELECT can do harm through the table functions it calls, also where
 * external access is off and the configuration locked: `FROM enable_logging(storage := 'file', …)` makes the process abort,
 * `FROM enable_profiling(…)` changes every later query, `FROM force_checkpoint()` may end the instance.
 *
 * @param serialized what DuckDB's `json_serialize_sql` gave for the text: its own parser's tree, so quoting, case and comments
 * do not matter
 * @param ownFile whether the database lives in a file. Reading that file through SQL opens and closes it once more, which
 * drops the lock that keeps other processes out; so such a database reads no files at all.
 */
export function refusal(serialized: string, ownFile: boolean): string | null {
  let found: string | null = null;
  JSON.parse(serialized, (_key, node: unknown) => {
    if (found === null && typeof node === 'object' && node !== null) found = fault(node, ownFile);
    return node;
  });
  return found;
}

interface Node {
  readonly function_name?: unknown;
  readonly table_name?: unknown;
}

function fault(node: Node, ownFile: boolean): string | null {
  const { function_name: called, table_name: table } = node;
  if (typeof called === 'string') {
    const name = called.toLowerCase();
    if (changing.has(name)) return `${name}() changes the database or runs text that cannot be checked`;
    if (ownFile && readsFiles.test(name)) return `${name}() reads files, which a database that is itself a file refuses`;
  }
  // A name with a dot or slash in one piece is a file to DuckDB.
  if (ownFile && typeof table === 'string' && /[./\\]/.test(table)) {
    return `${JSON.stringify(table)} is a file, and a database that is itself a file reads none`;
  }
  return null;
}

/** Table functions of DuckDB 1.5 that do more than read. A test lists all functions there are, so a new one is noticed. */
const changing: ReadonlySet<string> = new Set([
  'arrow_scan',
  'arrow_scan_dumb',
  'check_peg_parser',
  'checkpoint',
  'disable_logging',
  'disable_peg_parser',
  'disable_profiling',
  'enable_logging',
  'enable_peg_parser',
  'enable_profiling',
  'force_checkpoint',
  'json_execute_serialized_sql',
  'query',
  'seq_scan',
  'truncate_duckdb_logs',
  'write_log',
]);

const readsFiles = /^(?:read_|parquet_|sniff_|glob$|query_table$)/;
