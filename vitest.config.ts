import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: { marque: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
  },
  test: {
    include: ['test/**/*.test.ts'],
    // Threads would abort the process when one ends with a DuckDB query pending.
    pool: 'forks',
    maxWorkers: '150%', // most tests wait for the disk or a child process
    testTimeout: 60_000,
    reporters: ['default', './test/closing-line.ts'],
    // Statements about types: tsc judges them, each counts as a test.
    typecheck: { enabled: true, include: ['test/types/*.ts'], ignoreSourceErrors: true }, // `npm run check` judges the sources
  },
});
