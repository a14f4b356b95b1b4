import { type DuckDBConnection, type DuckDBExtractedStatements, type DuckDBPreparedStatement, StatementType } from './binding.ts';
import { databaseFailure, invalidated, isFatal, unparsable } from './database-failure.ts';
import { type ColumnarResult, plainResult } from './column.ts';
import { type ErrorCode, MarqueError, messageOf, show } from './error.ts';
import { GivenUp, interruptible, observed } from './interruptible.ts';
import { leavable } from './leave.ts';
import { isAnyOpen } from './opened.ts';
import { bindValues } from './parameters.ts';
import { portableColumns } from './portable.ts';
import { Queue } from './queue.ts';
import { refuseNul } from './quote.ts';
import { refusal } from './readonly.ts';
import { readColumns } from './result.ts';
import { markedPlace } from './sql-place.ts';
import type { Result, SqlAsking, SqlValue, Staged, Statement } from './store.ts';

/** DuckDB works on libuv's four threads: with more than two queries there, reading a file waits for a query. */
export const inFlight = new Queue(2);

/** A user's SELECT may take minutes: it has at most one of the two, so that a flush or a search always finds the other. */
const selects = new Queue(1);

/** What a database shares with its connections. */
export interface Shared {
  /** For messages. */
  readonly label: string;
  /** Whether it lives in a file. */
  readonly file: boolean;
  /** Whether users may read files elsewhere. */
  readonly readsFiles: boolean;
  /** A folder of its own that it may write. */
  readonly temporary: string;
  /** After a fatal error DuckDB refuses everything until the database has been opened again. */
  fatal: Error | null;
}

/**
 * Statements of ours that run just before a user's, with nothing between; or what makes them once it is known what that reads: it is given
 * DuckDB's `json_serialize_sql` of the text.
 */
export type Before = readonly Statement[] | ((serialized: string) => Promise<readonly Statement[]>);

/** What DuckDB's `json_serialize_sql` says of a text that it cannot take. */
interface Serialized {
  readonly error: boolean;
  readonly error_message?: string;
  /** In bytes from the beginning, of a syntax error. */
  readonly position?: string;
}

/** Runs one statement with bound values and gives its whole result. */
export type Run = (text: string, values?: readonly SqlValue[]) => Promise<Result>;

/**
 * One connection with a queue of its own: what is called first runs first, one at a time, to its end. Inside a job of
 * `exclusive` or `transaction` use the `run` it is given: other calls on the same connection would wait for the job for ever.
 */
export class Connection {
  readonly #connection: DuckDBConnection;
  readonly #shared: Shared;
  readonly #whenClosed: () => void;
  readonly #queue = new Queue(1);
  /** What has put the connection into its state, where that is known: a query that needs the same goes without. */
  #state: readonly Statement[] | null = null;
  #closing: Promise<void> | null = null;

  constructor(connection: DuckDBConnection, shared: Shared, whenClosed: () => void) {
    this.#connection = connection;
    this.#shared = shared;
    this.#whenClosed = whenClosed;
  }

  /**
   * One statement of ours; `$1`, `$2`, … are bound.
   * @throws MarqueError `DATABASE_FAILED` with DuckDB's error as `cause`, `VALUE_INVALID` for a value that cannot be bound.
   */
  run(text: string, values: readonly SqlValue[] = []): Promise<Result> {
    return this.#add(() => this.#run(text, values));
  }

  /** Several statements of ours without values, such as a schema; they run one by one, not in a transaction. */
  script(text: string): Promise<void> {
    return this.#add(() =>
      this.#guard(text, async () => {
        this.#state = null;
        await this.#connection.run(refuseNul(text)); // all at once: on the way from one to the next, JavaScript may be busy
      }),
    );
  }

  /**
   * Several statements between which nothing else runs on this connection, just after those `before`. `run` is dead once the job has ended.
   * Those that only read may have a signal: when it aborts, they are given up, also in the midst, and reject with its reason.
   */
  exclusive<T>(job: (run: Run) => Promise<T>, signal?: AbortSignal, before: readonly Statement[] = []): Promise<T> {
    return this.#add(async () => {
      await this.#enter(before);
      return await this.#job(job, signal);
    }, signal);
  }

  /** `exclusive` between BEGIN and COMMIT; anything thrown by the job or by COMMIT leaves the database as it was. */
  transaction<T>(job: (run: Run) => Promise<T>): Promise<T> {
    return this.#add(async () => {
      await this.#run('BEGIN', [], true);
      try {
        const value = await this.#job(job);
        await this.#run('COMMIT', [], true);
        return value;
      } catch (error) {
        // A COMMIT that failed has rolled back by itself, and the first error is the one that tells.
        await this.#run('ROLLBACK', [], true).catch(() => undefined);
        throw error;
      }
    });
  }

  /** One statement of ours, just after others with nothing between; its result as columns. Throws what `run` does. */
  columns(statement: Statement, before: readonly Statement[] = [], signal?: AbortSignal): Promise<ColumnarResult> {
    return this.#add(async () => {
      await this.#enter(before);
      return await this.#read(statement.text, statement.values, false, signal);
    }, signal);
  }

  /**
   * Text from a user: exactly one SELECT that only reads. When `signal` aborts, it is given up, also in the midst, and rejects with the
   * signal's reason. What `onProgress` throws stops it as well.
   * @throws MarqueError `SQL_INVALID` with DuckDB's message when it is anything else, or when DuckDB cannot run what it says;
   * `DATABASE_FAILED` when DuckDB fails for a reason of its own: memory, disk, a file.
   */
  query(statement: Statement, before: Before = [], asking: SqlAsking = {}): Promise<ColumnarResult> {
    return this.#addUsers(statement.text, before, asking.signal, () => this.#select(statement, asking));
  }

  /** The same as plain values. */
  async select(statement: Statement, before: Before = [], signal?: AbortSignal): Promise<Result> {
    return plainResult(await this.query(statement, before, { signal }));
  }

  /** Like `select`, but the rows go to a Parquet file, in their order, as a `Staged` says. The database must be allowed to write there. */
  copy(statement: Statement, path: string, before: Before = [], signal?: AbortSignal): Promise<Staged> {
    return this.#addUsers(statement.text, before, signal, () => this.#copy(statement, path, signal));
  }

  /** DuckDB's plan for a SELECT of a user, as text. It is refused like one, and not run. */
  plan(statement: Statement, before: Before = [], signal?: AbortSignal): Promise<string> {
    return this.#addUsers(statement.text, before, signal, async () => {
      (await this.#prepareSelect(statement.text)).destroySync();
      const explain = await this.#extract(`EXPLAIN ${statement.text}`);
      return this.#prepared(await explain.prepare(0), async (prepared) => {
        bindValues(prepared, statement.values);
        const { values } = plainResult(await readColumns(await prepared.run()));
        return String(values[1]?.[0]);
      });
    });
  }

  /** A folder that statements may write, removed when the database closes. */
  get temporary(): string {
    return this.#shared.temporary;
  }

  /** Waits for everything that was called before, then disconnects. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#queue.drain();
    this.#connection.closeSync();
    this.#whenClosed();
  }

  /** Every use of the native connection goes through here, so none overlaps another or `close`. */
  #add<T>(job: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closing !== null) {
      return Promise.reject(
        new MarqueError('STORE_CLOSED', `a connection to the database ${this.#shared.label} was used after it was closed`),
      );
    }
    return this.#queue.add(job, signal);
  }

  /** A job that runs text from a user. */
  #addUsers<T>(text: string, before: Before, signal: AbortSignal | undefined, job: () => Promise<T>): Promise<T> {
    return this.#add(async () => {
      if (text.includes('\0')) throw new MarqueError('SQL_INVALID', `${show(text)} contains a NUL character`);
      await this.#prepare(text, before);
      return selects.add(() => this.#guard(text, job, 'SQL_INVALID'), signal);
    }, signal);
  }

  /** Runs the statements that put the connection into a state, unless it is in that state. */
  async #enter(state: readonly Statement[]): Promise<void> {
    if (state.length === 0 || (this.#state !== null && isSameState(this.#state, state))) return;
    for (const { text, values } of state) await this.#run(text, values);
    this.#state = state;
  }

  async #job<T>(job: (run: Run) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const statements = new Queue(1);
    let ended = false;
    const run: Run = (text, values = []) => {
      if (!ended) return statements.add(() => this.#run(text, values, false, signal));
      return Promise.reject(
        new MarqueError('DATABASE_FAILED', `the job had ended when it ran ${show(text)}: await every statement`),
      );
    };
    try {
      return await job(run);
    } finally {
      ended = true;
      await statements.drain();
    }
  }

  async #run(text: string, values: readonly SqlValue[], transaction = false, signal?: AbortSignal): Promise<Result> {
    return plainResult(await this.#read(text, values, transaction, signal));
  }

  #read(text: string, values: readonly SqlValue[], transaction = false, signal?: AbortSignal): Promise<ColumnarResult> {
    return this.#guard(text, async () => {
      const extracted = await this.#extract(text);
      if (extracted.count !== 1) throw new RangeError(`expected one statement, got ${extracted.count}`);
      return this.#prepared(await extracted.prepare(0), async (prepared) => {
        const isTransaction = prepared.statementType === StatementType.TRANSACTION;
        if (isTransaction !== transaction) throw new RangeError('transactions go through transaction()');
        if (prepared.statementType !== StatementType.SELECT) this.#state = null; // it may set what a state is made of
        bindValues(prepared, values);
        return readColumns(await interruptible(this.#connection, signal, () => prepared.run()), signal);
      });
    });
  }

  async #select({ text, values }: Statement, { signal, onProgress }: SqlAsking): Promise<ColumnarResult> {
    return this.#prepared(await this.#prepareSelect(text), async (prepared) => {
      bindValues(prepared, values);
      const query = () => prepared.run();
      if (onProgress === undefined) return readColumns(await interruptible(this.#connection, signal, query), signal);
      return readColumns(await observed(this.#connection, signal, onProgress, query), signal);
    });
  }

  async #copy({ text, values }: Statement, path: string, signal: AbortSignal | undefined): Promise<Staged> {
    (await this.#prepareSelect(text)).destroySync();
    // It is one SELECT by itself, so no bracket or comment of it reaches beyond the line break.
    const select = `(${await this.#withoutSemicolon(text)}\n)`;
    const given = await this.#select({ text: `SELECT * FROM ${select} LIMIT 0`, values }, { signal });
    const numbered = given.columns.map(({ type }, index) => ({ name: `c${index}`, type }));
    const { select: made, columns } = portableColumns(numbered);
    const rows = `SELECT ${made} FROM ${select} AS given(${numbered.map(({ name }) => name).join(', ')})`;
    const format = 'FORMAT parquet, PARQUET_VERSION v1, ROW_GROUP_SIZE 20480';
    const copy = await this.#extract(`COPY (${rows}) TO $${values.length + 1} (${format})`);
    return this.#prepared(await copy.prepare(0), async (prepared) => {
      bindValues(prepared, [...values, path]);
      const result = plainResult(await readColumns(await interruptible(this.#connection, signal, () => prepared.run())));
      return { path, rows: result.values[0]?.[0] as number, columns, names: given.columns.map(({ name }) => name) };
    });
  }

  /** A SELECT up to its semicolon: the shortest beginning that ends before one and is the same SELECT to the parser. */
  async #withoutSemicolon(text: string): Promise<string> {
    const whole = await this.#serialized(text);
    for (let end = text.indexOf(';'); end !== -1; end = text.indexOf(';', end + 1)) {
      const beginning = text.slice(0, end);
      if ((await this.#serialized(beginning)) === whole) return beginning;
    }
    return text;
  }

  async #prepareSelect(text: string): Promise<DuckDBPreparedStatement> {
    const extracted = await this.#extract(text);
    if (extracted.count !== 1) throw new RangeError(`expected one SELECT, got ${extracted.count} statements`);
    const prepared = await extracted.prepare(0);
    const type = prepared.statementType;
    if (type === StatementType.SELECT) return prepared;
    prepared.destroySync();
    throw new RangeError(`expected a SELECT, got ${StatementType[type]}`);
  }

  /** What comes before a user's text: it is looked at, then our own statements run. */
  async #prepare(text: string, before: Before): Promise<void> {
    const serialized = await this.#refuseHarm(text);
    await this.#enter(typeof before === 'function' ? await before(serialized) : before);
  }

  /** Looks at a user's text before DuckDB plans it: planning alone may call functions and open files. Gives the parser's tree as JSON. */
  async #refuseHarm(text: string): Promise<string> {
    const serialized = await this.#serialized(text);
    const { error, error_message: message, position } = JSON.parse(serialized) as Serialized;
    const at = position === undefined ? '' : `\n\n${markedPlace(text, Number(position))}`;
    const refused = error ? `${unparsable(String(message), text)}${at}` : refusal(serialized, this.#whyNoFiles());
    if (refused) throw new MarqueError('SQL_INVALID', `only one SELECT that reads can be run: ${refused}`);
    return serialized;
  }

  #whyNoFiles(): string | null {
    const { file, readsFiles } = this.#shared;
    if (file) return 'a database that is itself a file reads none';
    if (readsFiles && isAnyOpen())
      return 'while a DuckDB file is open in this process, reading files could drop its lock: close that storage first';
    return null;
  }

  /** The parser's tree of a text as JSON, or what is wrong with it. */
  async #serialized(text: string): Promise<string> {
    const { values } = await this.#run('SELECT json_serialize_sql($1::VARCHAR)', [text]);
    return values[0]?.[0] as string;
  }

  async #extract(text: string): Promise<DuckDBExtractedStatements> {
    try {
      return await this.#connection.extractStatements(refuseNul(text));
    } catch (error) {
      // What the bindings say of a text without any statement.
      if (messageOf(error) === 'Error in native callback') throw new RangeError('there is no statement in it');
      throw error;
    }
  }

  /** A prepared statement never leaves this function: destroying one that runs crashes the process. */
  async #prepared<T>(prepared: DuckDBPreparedStatement, use: (prepared: DuckDBPreparedStatement) => Promise<T>): Promise<T> {
    try {
      return await use(prepared);
    } finally {
      prepared.destroySync();
    }
  }

  async #guard<T>(text: string, job: () => Promise<T>, code: ErrorCode = 'DATABASE_FAILED'): Promise<T> {
    if (this.#shared.fatal !== null) throw invalidated(this.#shared);
    try {
      return await inFlight.add(() => leavable(job));
    } catch (error) {
      if (error instanceof GivenUp) throw error.reason;
      if (error instanceof MarqueError) throw error;
      const message = messageOf(error).replace(/^Failed to extract statements: /, '');
      if (isFatal(message)) {
        this.#shared.fatal ??= error as Error;
        throw invalidated(this.#shared);
      }
      throw databaseFailure(error, message, text, code);
    }
  }
}

function isSameState(a: readonly Statement[], b: readonly Statement[]): boolean {
  return isSameList(a, b, ({ text, values }, other) => text === other.text && isSameList(values, other.values, isSameValue));
}

/** Of values that are not compared by what they contain, such as dates, two are never the same. */
function isSameValue(a: SqlValue, b: SqlValue): boolean {
  return Array.isArray(a) && Array.isArray(b) ? isSameList<unknown>(a, b, Object.is) : Object.is(a, b);
}

function isSameList<T>(a: readonly T[], b: readonly T[], isSame: (one: T, other: T) => boolean): boolean {
  return a.length === b.length && a.every((one, index) => isSame(one, b[index] as T));
}
