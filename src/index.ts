export { type ErrorCode, MarqueError } from './error.ts';
export { humanDuration } from './duration.ts';
export { Flow, type FlowOptions, type FlowState, type GroupOptions } from './flow.ts';
export type { GetOptions } from './handle.ts';
export type { LogEntry, LogLevel } from './log.ts';
export type { SearchOptions } from './plan.ts';
export type { Progress } from './progress.ts';
export type { PushOptions } from './pushing.ts';
export type { Query } from './query.ts';
export { Random } from './random.ts';
export { retry, type RetryPolicy } from './retry.ts';
export { type Reference, Scope, type ScopeError } from './scope.ts';
export type { SqlQuery } from './sql-query.ts';
export {
  type NeededValues,
  type Needs,
  type PushedValues,
  type Pushable,
  repeat,
  type Repeated,
  Step,
  step,
  type StepFunction,
  type StepLike,
} from './step.ts';
export type { StepFlow } from './step-flow.ts';
export { DuckDBStorage } from './storage/duckdb.ts';
export { JsonStorage } from './storage/json.ts';
export { MemoryStorage } from './storage/memory.ts';
export { ParquetStorage } from './storage/parquet.ts';
export { Storage, type StorageOptions } from './storage/storage.ts';
export type {
  Batch,
  BatchId,
  Claim,
  ClaimRequest,
  EncodedArtifact,
  Result,
  ScopeRecord,
  Snapshot,
  SqlValue,
  Statement,
  Status,
  Store,
} from './store.ts';
export type { Tag } from './tag.ts';
export type { FlushPolicy } from './writer.ts';
export type { ValueOf, ValueType } from './value-type.ts';
