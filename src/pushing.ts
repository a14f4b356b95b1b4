import type { Reference } from './scope.ts';
import type { NeedsOf } from './step.ts';

/** The context after values were put on top of it. */
export type Merge<C, V> = Omit<C, keyof V> & V;

/** What a push can be given beside its steps and values. */
export interface PushOptions {
  /** The scope whose artifacts the pushed steps recall: one that was searched for, or `flow.scope` of the step that pushes. */
  readonly scope?: Reference | undefined;
}

/** The values that a step needs and the context does not hold, or holds with another type. */
type Missing<N, C> = { [K in keyof N as K extends keyof C ? (C[K] extends N[K] ? never : K) : K]: N[K] };

/** Any values, but where the steps declared a name, a value of its type. */
type Given<N> = { readonly [K in keyof N]?: N[K] } & Readonly<Record<string, unknown>>;

/**
 * The arguments of a push behind its steps `S`, seen from a context `C`: the values must be there as soon as one is missing, so
 * that a step whose needs are not met does not compile.
 */
export type PushArguments<S, C, O = PushOptions> = keyof Missing<NeedsOf<S>, C> extends never
  ? [values?: Given<NeedsOf<S>> | null, options?: O]
  : [values: Given<NeedsOf<S>> & Readonly<Missing<NeedsOf<S>, C>>, options?: O];
