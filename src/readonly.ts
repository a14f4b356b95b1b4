/**
 * Why a SELECT must not run although it is one, or null. A SELECT can do harm through the table functions it calls, also where
 * external access is off and the configuration locked: `FROM enable_logging(storage := 'file', …)` makes the process abort,
 * `FROM enable_profiling(…)` changes every later query, `FROM force_checkpoint()` may end the instance. And functions that follow JSON down level by level
 * end the process with its stack, where a text such as `repeat('[', 200000)` becomes JSON.
 *
 * @param serialized what DuckDB's `json_serialize_sql` gave for the text: its own parser's tree, so quoting, case and comments
 * do not matter
 * @param whyNoFiles why it must not read files, if so. A DuckDB file that this process has open, such as the database's own, would be opened
 * and closed once more, which drops the lock that keeps other processes out.
 */
export function refusal(serialized: string, whyNoFiles: string | null): string | null {
  let found: string | null = null;
  JSON.parse(serialized, (_key, node: unknown) => {
    if (found === null && typeof node === 'object' && node !== null) found = fault(node, whyNoFiles);
    return node;
  });
  return found;
}

interface Node {
  readonly function_name?: unknown;
  readonly table_name?: unknown;
  readonly children?: unknown;
  /** Of a type. */
  readonly id?: unknown;
}

function fault(node: Node, whyNoFiles: string | null): string | null {
  const { function_name: called, table_name: table, children, id } = node;
  if (typeof called === 'string') {
    const name = called.toLowerCase();
    if (changing.has(name)) return `${name}() changes the database or runs text that cannot be checked`;
    if (descending.has(name)) return `${name}() ${crash}`;
    if (shaping.test(name) && !hasShallowShape(children)) {
      return `${name}() ${crash}: give it the structure as a text of at most ${mostLevels} brackets in the query itself`;
    }
    if (whyNoFiles !== null && readsFiles.test(name)) return `${name}() reads files, and ${whyNoFiles}`;
  }
  if (id === 'VARIANT') return `a cast to VARIANT ${crash}`;
  // A name with a dot or slash in one piece is a file to DuckDB.
  if (whyNoFiles !== null && typeof table === 'string' && /[./\\]/.test(table)) {
    return `${JSON.stringify(table)} is a file, and ${whyNoFiles}`;
  }
  return null;
}

/** Functions of DuckDB 1.5 that do more than read. A test lists all table functions there are, so a new one is noticed. */
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
  'json_serialize_plan',
  'query',
  'seq_scan',
  'truncate_duckdb_logs',
  'write_log',
]);

const readsFiles = /^(?:read_|parquet_|sniff_|glob$|query_table$)/;

const crash = 'can crash the process where JSON is nested deeply';

/** Functions of DuckDB 1.5 that recurse into JSON. A test tries all functions that take JSON, so a new one is noticed. */
const descending: ReadonlySet<string> = new Set([
  'json_contains',
  'json_deserialize_sql',
  'json_group_structure',
  'json_merge_patch',
  'json_structure',
]);

/** These recurse into their second argument only, the structure that they give to JSON. */
const shaping = /^(?:json_transform|from_json)(?:_strict)?$/;

/** As deep as what a flow may keep. */
const mostLevels = 200;

function hasShallowShape(children: unknown): boolean {
  const [, shape] = (children ?? []) as readonly { readonly value?: { readonly value?: unknown } }[];
  const text = shape?.value?.value;
  return typeof text === 'string' && (text.match(/[[{]/g) ?? []).length <= mostLevels;
}
