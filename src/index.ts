export type { AnalysisOptions, BestOptions } from './analytics.ts';
export type {
  BestRow,
  CoverageRow,
  DurationRow,
  ErrorGroup,
  ImportanceRow,
  MetricDifference,
  ParamDifference,
  RetryRow,
  SeriesRow,
} from './analytics-rows.ts';
export type { Column, ColumnarResult, ColumnPart, Texts } from './column.ts';
export { type ErrorCode, MarqueError } from './error.ts';
export { humanDuration } from './duration.ts';
export { Flow, type FlowOptions, type FlowState, type GroupOptions } from './flow.ts';
export type { FlushPolicy } from './flush-policy.ts';
export type { Grid } from './grid.ts';
export type { GetOptions } from './handle.ts';
export type { LineageOptions, LineageRow, ScopeChoice } from './lineage.ts';
export type { LogEntry, LogLevel } from './log.ts';
export type { SearchOptions, Where } from './plan.ts';
export type { ReadingOptions } from './reading.ts';
export type { Explanation, TableReading } from './explanation.ts';
export {
  and,
  duration,
  ended,
  id,
  not,
  type NumberConditions,
  or,
  param,
  type ParamConditions,
  started,
  status,
  tag,
  type TagConditions,
  type TimeConditions,
} from './predicate.ts';
export type { Progress } from './progress.ts';
export type { PushOptions } from './pushing.ts';
export type { Query } from './query.ts';
export { Random } from './random.ts';
export type { ResultTable } from './result-table.ts';
export { retry, type RetryPolicy } from './retry.ts';
export { type Reference, Scope, type ScopeError } from './scope.ts';
export type { ParamValue, Predicate } from './search.ts';
export type { SqlOptions, SqlQuery } from './sql-query.ts';
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
export type { RunNames } from './run-names.ts';
export type { SqlFiles } from './storage/limits.ts';
export type { RunChoice } from './storage/chosen-runs.ts';
export { DuckDBStorage } from './storage/duckdb.ts';
export type { ExportedView } from './storage/export-columns.ts';
export type { ExportOptions, ExportResult } from './storage/export.ts';
export type { ExportFormat } from './storage/export-target.ts';
export type { PythonImport } from './storage/import-python.ts';
export { JsonStorage } from './storage/json.ts';
export { MemoryStorage } from './storage/memory.ts';
export type { MergeResult } from './storage/merge.ts';
export type { CompactedTable, CompactOptions } from './storage/compact.ts';
export type { DeletedRun } from './storage/delete-runs.ts';
export type { RunRow, RunsToDelete } from './storage/doomed-runs.ts';
export { type Comparison, History } from './storage/history.ts';
export { ParquetStorage } from './storage/parquet.ts';
export type { StoreVersion } from './storage/past-states.ts';
export type { Loss, Repaired } from './storage/repair.ts';
export type { Vacuumed, VacuumOptions } from './storage/vacuum.ts';
export type { Problem, Verified } from './storage/verify.ts';
export { Storage, type StorageOptions } from './storage/storage.ts';
export type {
  ArtifactChoice,
  Batch,
  BatchId,
  Claim,
  ClaimRequest,
  EncodedArtifact,
  ParkedBatch,
  Result,
  ScopeRecord,
  Snapshot,
  SqlAsking,
  SqlValue,
  Staged,
  Statement,
  Status,
  Store,
  UnwrittenBatch,
} from './store.ts';
export type { Tag } from './tag.ts';
export type { Durability } from './writer.ts';
export type { ValueOf, ValueType } from './value-type.ts';
export type { WideOptions, WideRow } from './wide.ts';
