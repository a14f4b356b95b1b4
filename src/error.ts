/**
 * What went wrong, as a stable word that programs can switch on. The message is for people and may change;
 * the code does not.
 */
export type ErrorCode =
  | 'ABORTED' // the run was stopped from outside
  | 'ALREADY_EXECUTED' // a flow runs once
  | 'ARTIFACT_EXISTS' // a second keep of a name without overwrite
  | 'ARTIFACT_UNKNOWN' // recall of a name that the scope does not hold
  | 'CONTEXT_AMBIGUOUS' // get(Type) with several candidates
  | 'CONTEXT_INVALID' // a context value of another type than asked for
  | 'CONTEXT_UNKNOWN' // get of a name that nobody put
  | 'DATABASE_FAILED' // DuckDB refused or failed a statement of ours
  | 'FLOW_ENDED' // a call that needs a flow which has not ended
  | 'FLOW_NOT_STARTED' // a call that needs a flow which has started
  | 'GLOB_INVALID' // a pattern that cannot be compiled
  | 'HANDLE_ENDED' // a step's handle used after its step ended
  | 'NAME_INVALID' // a flow, step, run, artifact or context name outside the alphabet
  | 'OPTION_INVALID' // an option or argument outside its range
  | 'PREDICATE_INVALID' // a condition of a search that cannot be meant
  | 'RUN_ACTIVE' // a run that may still be writing cannot be deleted
  | 'RUN_UNKNOWN' // a slug that no run of the store has
  | 'SCOPE_UNKNOWN' // load of an id that is not in the store
  | 'SQL_INVALID' // user SQL that is not one SELECT, or that DuckDB cannot run
  | 'STEP_INVALID' // something pushed that is no step
  | 'STEP_NEVER_SETTLES' // the event loop ran dry while steps were still pending
  | 'STEP_UNNAMED' // a function without a name pushed as a step
  | 'STORE_CLOSED' // a storage used after close
  | 'STORE_DAMAGED' // a file of the store that cannot be what we wrote
  | 'STORE_FORMAT' // a store of a newer format
  | 'STORE_LOCKED' // another process or object has the file open for writing
  | 'STORE_PATH' // a path that is no store and cannot become one
  | 'STORE_UNWRITABLE' // a folder or file that cannot be written
  | 'VALUE_INVALID' // a value that cannot be kept exactly
  | 'VERSION_UNKNOWN' // a version that the store never had, or has no longer
  | 'WHERE_INVALID'; // a search predicate that is async or throws

/** The one error class of this library. `code` is stable; `cause` keeps the error underneath, if there was one. */
export class MarqueError extends Error {
  override readonly name = 'MarqueError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A short rendering of any value for a message: strings in quotes, long ones cut. Never throws, and never reads a large value whole. */
export function show(value: unknown, limit = 80): string {
  let text: string;
  try {
    text = sketch(value, limit, 0);
  } catch {
    text = `a value of type ${typeof value}`; // a hostile proxy or getter must not hide the error being reported
  }
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

/** Members of lists and objects that are shown, and levels of them. */
const members = 8;
const levels = 3;

function sketch(value: unknown, limit: number, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, limit));
  if (typeof value === 'function') return value.name ? `function ${value.name}` : 'an unnamed function';
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || typeof value !== 'object') return Object.is(value, -0) ? '-0' : String(value);
  if (Array.isArray(value)) {
    const shown = depth < levels ? value.slice(0, members).map((one) => sketch(one, limit, depth + 1)) : [];
    return `[${[...shown, ...(value.length > shown.length ? ['…'] : [])].join(',')}]`;
  }
  const type = (Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null)?.constructor?.name;
  if (type !== undefined && type !== 'Object') return `an instance of ${type}`;
  const names = Object.keys(value);
  const shown = depth < levels ? names.slice(0, members) : [];
  const pairs = shown.map(
    (name) => `${JSON.stringify(name)}:${sketch((value as Record<string, unknown>)[name], limit, depth + 1)}`,
  );
  return `{${[...pairs, ...(names.length > shown.length ? ['…'] : [])].join(',')}}`;
}

/** The message of anything thrown, also of `throw undefined`. Never throws. */
export function messageOf(thrown: unknown): string {
  try {
    const message: unknown = thrown instanceof Error ? thrown.message : null;
    if (typeof message === 'string' && message !== '') return message;
  } catch {
    // a hostile error is shown like any other value
  }
  return show(thrown, 1_000);
}
