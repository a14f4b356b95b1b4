-- What a .duckdb file keeps beside the six tables: which format it has, which batches are in it, which runs were claimed. A folder
-- of Parquet segments keeps the same as files.

-- One row: the version of this format. Whoever finds a higher one than he knows must not write.
CREATE TABLE raw.format (
  version INTEGER -- 1; never null
);

-- The batches that are in the tables, each written in the transaction of its rows: a batch tried again is found here.
CREATE TABLE raw.batches (
  writer VARCHAR, -- uuid of the run and epoch of the process that wrote it, 'uuid/0'; never null
  number BIGINT -- counts the batches of this writer from 1; never null
);

-- The runs that were begun, kept for ever: neither numbers nor slugs come back.
CREATE TABLE raw.claims (
  number BIGINT, -- counts from 1; never null
  slug VARCHAR, -- name of the run, two words; never null
  uuid VARCHAR, -- UUIDv7 of the run; never null
  flow VARCHAR, -- name of its flow; never null
  host VARCHAR, -- machine that claimed it; never null
  pid BIGINT, -- process that claimed it; never null
  claimed_at TIMESTAMP_MS, -- when; never null
  begins BOOLEAN -- whether the run began with it, rather than that it was copied from another store; null where an older version claimed it
);
