import type { Context } from './context.ts';
import { MarqueError, show } from './error.ts';
import type { LogLevel } from './log.ts';
import { isValueType, type ValueOf, type ValueType } from './value-type.ts';

/** `strict: false` makes `get` return undefined where it would throw. */
export interface GetOptions<S extends boolean = boolean> {
  readonly strict?: S;
}

type Values<T, N extends readonly string[]> = { -readonly [K in keyof N]: ValueOf<T> };

/**
 * What a flow and the flow as seen from one step have in common: reading the context, and logging.
 * `C` are the context values that the compiler knows of.
 */
export abstract class Handle<C extends object> {
  /** The context to read; throws if the handle may not be used any more. */
  protected abstract readable(): Context;

  /** Called with every value that is read. */
  protected abstract received(name: string, value: unknown): unknown;

  /** Logs a line. Levels, from the least: `trace debug info success warning error critical`; the default is `info`. */
  abstract log(message: unknown, level?: LogLevel): void;

  /** The value of a name. Throws `CONTEXT_UNKNOWN`, listing names that are near. */
  get<K extends keyof C & string>(name: K): C[K];
  get(name: string): unknown;
  get(name: string, options: GetOptions): unknown;
  /** The only value of a type; at the nearest level that has any. Throws `CONTEXT_UNKNOWN`, `CONTEXT_AMBIGUOUS`. */
  get<T extends ValueType>(type: T): ValueOf<T>;
  get<T extends ValueType>(type: T, options: GetOptions<true>): ValueOf<T>;
  get<T extends ValueType>(type: T, options: GetOptions): ValueOf<T> | undefined;
  /** The value of a name, checked to be of a type. Throws `CONTEXT_UNKNOWN`, `CONTEXT_INVALID`. */
  get<T extends ValueType>(type: T, name: string): ValueOf<T>;
  get<T extends ValueType>(type: T, name: string, options: GetOptions<true>): ValueOf<T>;
  get<T extends ValueType>(type: T, name: string, options: GetOptions): ValueOf<T> | undefined;
  /** The values of several names, each checked to be of a type: `get(Number, ['a', 'b'])` is `[number, number]`. */
  get<T extends ValueType, const N extends readonly string[]>(type: T, names: N): Values<T, N>;
  get<T extends ValueType, const N extends readonly string[]>(type: T, names: N, options: GetOptions<true>): Values<T, N>;
  get<T extends ValueType, const N extends readonly string[]>(
    type: T,
    names: N,
    options: GetOptions,
  ): { -readonly [K in keyof N]: ValueOf<T> | undefined };
  get(first: unknown, ...rest: readonly unknown[]): unknown {
    const last = rest.at(-1);
    const hasOptions = typeof last === 'object' && last !== null && !Array.isArray(last);
    const strict = !(hasOptions && (last as GetOptions).strict === false);
    const given = hasOptions ? rest.slice(0, -1) : rest;
    const [names] = given;
    if (given.length > 0 && typeof names !== 'string' && !Array.isArray(names)) {
      throw new MarqueError('OPTION_INVALID', `cannot get by the name ${show(names)}: give a text, or a list of texts`);
    }
    const context = this.readable();
    if (typeof first === 'string') return this.#read(strict, () => [first, context.byName(first)]);
    if (!isValueType(first)) {
      throw new MarqueError('OPTION_INVALID', `cannot get ${show(first)}: ask by name, by class, or by class and name`);
    }
    const byName = (name: string): unknown => this.#read(strict, () => [name, context.byTypeAndName(first, name)]);
    if (Array.isArray(names)) return names.map(byName);
    if (typeof names === 'string') return byName(names);
    return this.#read(strict, () => {
      const name = context.nameOfType(first);
      return [name, context.byName(name)];
    });
  }

  trace(message: unknown): void {
    this.log(message, 'trace');
  }

  debug(message: unknown): void {
    this.log(message, 'debug');
  }

  info(message: unknown): void {
    this.log(message, 'info');
  }

  success(message: unknown): void {
    this.log(message, 'success');
  }

  warning(message: unknown): void {
    this.log(message, 'warning');
  }

  error(message: unknown): void {
    this.log(message, 'error');
  }

  critical(message: unknown): void {
    this.log(message, 'critical');
  }

  #read(strict: boolean, find: () => readonly [name: string, value: unknown]): unknown {
    try {
      return this.received(...find());
    } catch (error) {
      if (!strict && error instanceof MarqueError && error.code.startsWith('CONTEXT_')) return undefined;
      throw error;
    }
  }
}
