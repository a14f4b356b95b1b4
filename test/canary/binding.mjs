import { createRequire } from 'node:module';

const require = createRequire(createRequire(import.meta.url).resolve('@duckdb/node-api'));
export const binding = require('@duckdb/node-bindings');
