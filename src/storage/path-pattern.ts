/** The pattern that finds this path only. DuckDB takes every path for one, also in a list: `exp[1]` would find the files of a folder `exp1`. */
export function patternOf(path: string): string {
  return path.replace(/[*?[]/g, '[$&]');
}
