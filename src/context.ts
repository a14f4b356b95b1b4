import { MarqueError, show } from './error.ts';
import { orNear } from './near.ts';
import { checkValue, isOfType, isSchema, typeName, type ValueType } from './value-type.ts';

interface Entry {
  readonly value: unknown;
  /** How deep in the chain of pushes the value was put: the larger, the nearer. */
  readonly level: number;
}

/**
 * The run-time values that a step sees: its own, then those of whoever pushed it, and so on. Kept flat (every name with its
 * nearest value and that value's level), so that a chain of a million pushes costs no walk; copied only when written to.
 */
export class Context {
  #entries: Map<string, Entry>;
  #shared: boolean;
  readonly #level: number;

  private constructor(entries: Map<string, Entry>, shared: boolean, level: number) {
    this.#entries = entries;
    this.#shared = shared;
    this.#level = level;
  }

  static empty(): Context {
    return new Context(new Map(), false, 0);
  }

  /** What a step pushed from here inherits, with its own values on top. Later puts in either are not seen by the other. */
  child(values: Readonly<Record<string, unknown>> | null): Context {
    this.#shared = true;
    const child = new Context(this.#entries, true, this.#level + 1);
    if (values !== null) child.put(values);
    return child;
  }

  /** Sets values by name; a name that is there already gets the new value. */
  put(values: Readonly<Record<string, unknown>>): void {
    const entries = Object.entries(values);
    if (entries.length === 0) return;
    if (this.#shared) {
      this.#entries = new Map(this.#entries);
      this.#shared = false;
    }
    for (const [name, value] of entries) this.#entries.set(name, { value, level: this.#level });
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** The names in order of their first put. */
  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** The values put at this level, for the record of what a run was started with. */
  own(): Record<string, unknown> {
    const own: Record<string, unknown> = {};
    for (const [name, entry] of this.#entries) if (entry.level === this.#level) own[name] = entry.value;
    return own;
  }

  /** The nearest value of that name. Throws `CONTEXT_UNKNOWN`, listing names that are near. */
  byName(name: string): unknown {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry.value;
    throw new MarqueError('CONTEXT_UNKNOWN', `no context value "${name}" was put.${orNear(name, this.#entries.keys())}`);
  }

  /** The nearest value of that name, checked against a type. */
  byTypeAndName(type: ValueType, name: string): unknown {
    return checkValue(type, name, this.byName(name));
  }

  /**
   * The one name whose value is of a type, at the nearest level that has any. Throws `CONTEXT_UNKNOWN` if there is none,
   * `CONTEXT_AMBIGUOUS` if that level has several.
   */
  nameOfType(type: ValueType): string {
    if (isSchema(type)) {
      throw new MarqueError('OPTION_INVALID', 'a schema does not tell values apart: ask with a name, get(schema, "name")');
    }
    let nearest = -1;
    let names: string[] = [];
    for (const [name, entry] of this.#entries) {
      if (entry.level < nearest || !isOfType(type, entry.value)) continue;
      if (entry.level > nearest) names = [];
      nearest = entry.level;
      names.push(name);
    }
    if (names.length === 1) return names[0] as string;
    if (names.length === 0) {
      const known = [...this.#entries].map(([name, entry]) => `${name} = ${show(entry.value, 30)}`).join(', ') || 'nothing';
      throw new MarqueError('CONTEXT_UNKNOWN', `no context value of type ${typeName(type)} was put; there is ${known}`);
    }
    throw new MarqueError(
      'CONTEXT_AMBIGUOUS',
      `several context values are of type ${typeName(type)}: ${names.join(', ')}. Ask with a name, get(${typeName(type)}, "${names[0]}")`,
    );
  }
}
