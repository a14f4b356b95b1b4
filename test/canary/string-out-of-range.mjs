// Writes a string far beyond the end of a vector.
import { DuckDBDataChunk, VARCHAR } from '@duckdb/node-api';
import { binding } from './binding.mjs';

const chunk = DuckDBDataChunk.create([VARCHAR], 1);
binding.vector_assign_string_element(
  binding.data_chunk_get_vector(chunk.chunk, 0),
  1_000_000_000,
  'beyond the end of the vector',
);
console.log('survived');
