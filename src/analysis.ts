import { analysisSql } from './sql.ts';
import type { Within } from './extent.ts';
import type { SqlValue, Statement } from './store.ts';

/** Literals, names in quotes and comments, in which `$` means nothing; else a parameter. */
const tokens = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\n?[ \t]*--[^\n]*|\/\*[^]*?\*\/|\$([A-Za-z_]\w*)/g;

/** A file of `sql/analytics/`. */
export interface Analysis {
  /** Its text without comments, in which the parameters are numbered from `$1`. */
  readonly text: string;
  /** Their names in that order. */
  readonly parameters: readonly string[];
}

const known = new Map<string, Analysis>();

export function readAnalysis(name: string): Analysis {
  let analysis = known.get(name);
  if (analysis === undefined) {
    const parameters: string[] = [];
    const text = analysisSql(name).replace(tokens, (token, parameter?: string) => {
      if (parameter === undefined) return /^['"]/.test(token) ? token : '';
      if (!parameters.includes(parameter)) parameters.push(parameter);
      return `$${parameters.indexOf(parameter) + 1}`;
    });
    known.set(name, (analysis = { text: text.trim(), parameters }));
  }
  return analysis;
}

/** The file as a statement: a value for each of its parameters, and for nothing else. `within` as for a `Statement`. */
export function analysisStatement(name: string, values: Readonly<Record<string, SqlValue>>, within?: Within): Statement {
  const { text, parameters } = readAnalysis(name);
  if (Object.keys(values).sort().join() !== parameters.toSorted().join())
    throw new Error(`sql/analytics/${name}.sql has the parameters ${parameters.join()}, not ${Object.keys(values).join()}`);
  const statement = { text, values: parameters.map((parameter) => values[parameter] as SqlValue) };
  return within === undefined ? statement : { ...statement, within };
}
