import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Context } from '../src/context.ts';

/** The meaning in plain words: a chain of levels, each with its own values; the nearest put of a name wins. */
class Chain {
  readonly own = new Map<string, unknown>();
  readonly parent: Chain | null;

  constructor(parent: Chain | null) {
    this.parent = parent;
  }

  /** A child sees what there is now, so it gets a copy of the levels above it. */
  child(): Chain {
    return new Chain(this.copy());
  }

  copy(): Chain {
    const copy = new Chain(this.parent?.copy() ?? null);
    for (const [name, value] of this.own) copy.own.set(name, value);
    return copy;
  }

  byName(name: string): unknown {
    return this.own.has(name) ? this.own.get(name) : this.parent?.byName(name);
  }

  /** The names of numbers at the nearest level that has any which is not hidden by a nearer put. */
  numbers(hidden: readonly string[] = []): readonly string[] {
    const here = [...this.own]
      .filter(([name, value]) => typeof value === 'number' && !hidden.includes(name))
      .map(([name]) => name);
    return here.length > 0 || this.parent === null ? here : this.parent.numbers([...hidden, ...this.own.keys()]);
  }
}

const names = ['a', 'b', 'c', 'd'];
const action = fc.oneof(
  fc.record({
    kind: fc.constant('put' as const),
    at: fc.nat(),
    name: fc.constantFrom(...names),
    value: fc.oneof(fc.integer(), fc.string()),
  }),
  fc.record({ kind: fc.constant('child' as const), at: fc.nat() }),
);

describe('a flat context', () => {
  test('means the same as a chain of levels', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const flat = [Context.empty()];
        const chains = [new Chain(null)];
        for (const one of actions) {
          const at = one.at % flat.length;
          if (one.kind === 'put') {
            flat[at]?.put({ [one.name]: one.value });
            chains[at]?.own.set(one.name, one.value);
          } else {
            flat.push((flat[at] as Context).child(null));
            chains.push((chains[at] as Chain).child());
          }
        }
        flat.forEach((context, index) => {
          const chain = chains[index] as Chain;
          for (const name of names) {
            expect(context.has(name) ? context.byName(name) : undefined).toBe(chain.byName(name));
          }
          const numbers = chain.numbers();
          if (numbers.length === 1) expect(context.nameOfType(Number)).toBe(numbers[0]);
          else expect(() => context.nameOfType(Number)).toThrow(numbers.length === 0 ? /no context value/ : /several/);
        });
      }),
      { seed: 2, numRuns: 1_000 },
    );
  });

  test('costs the same however deep it is', () => {
    let context = Context.empty();
    context.put({ lr: 0.1 });
    for (let depth = 0; depth < 200_000; depth++) context = context.child(null);
    expect(context.byName('lr')).toBe(0.1);
  });

  test('knows null and undefined as values', () => {
    const context = Context.empty();
    context.put({ nothing: undefined, none: null });
    expect([context.has('nothing'), context.byName('none')]).toEqual([true, null]);
  });
});
