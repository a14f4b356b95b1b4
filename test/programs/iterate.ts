import { Flow, ParquetStorage, repeat, step } from '../../src/index.ts';

/** Makes a Parquet store of many small scopes, goes through all of them, and says how many there were: `iterate.ts <folder> <scopes>`. */
const [folder, count] = process.argv.slice(2) as [string, string];
await using storage = new ParquetStorage(folder);
const small = step('small', (flow) => {
  flow.tag('loss', Math.random());
  flow.keep('data', `${Math.random()}`.repeat(60)); // each another, or they would be one string
});
await new Flow('iterate', storage, { capture: false, logLevel: 'silent' }).push(repeat(small, Number(count))).execute();
let seen = 0;
for await (const scope of storage.search('*')) seen += scope.attempt;
process.stdout.write(`${seen}\n`);
