import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Names every skipped test with its reason and closes the run with one line, `N passed, N failed`, which machines read.
 * A file that cannot be loaded, and an error outside every test, count as failures; so does, on CI, a skipped test.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    let passed = 0;
    let failed = unhandled.length;
    const skipped: string[] = [];
    for (const module of modules) {
      failed += module.errors().length;
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') passed++;
        else if (result.state === 'skipped') skipped.push(`${test.fullName}: ${result.note ?? 'no reason given'}`);
        else failed++;
      }
    }
    if (skipped.length > 0 && process.env['CI'] !== undefined) {
      failed += skipped.length;
      process.exitCode = 1;
    }
    process.once('exit', () => {
      for (const line of skipped) console.log(`skipped ${line}`);
      const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
      console.log(`${passed} passed, ${failed} failed${tail}`);
    });
  }
}
