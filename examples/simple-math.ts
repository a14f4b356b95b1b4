/** Five random sums and differences, then two steps that look back at them. */
import { Flow, ParquetStorage, Random, repeat, type StepFlow } from 'marque';

function add(flow: StepFlow) {
  const [a, b] = flow.get(Number, ['a', 'b']); // typed values from the context
  flow.tag(`${a} + ${b}`); // a tag: text, and a number if you have one
  flow.keep('data', { answer: a + b }); // an artifact, recalled later
}

function sub(flow: StepFlow) {
  const [a, b] = flow.get(Number, ['a', 'b']);
  flow.tag(`${a} - ${b}`);
  flow.keep('data', { answer: a - b });
}

function simpleMath(flow: StepFlow) {
  const random = flow.get(Random); // by type alone
  const [a, b] = [random.integer(10, 100), random.integer(10, 100)];
  flow.push(random.choice([add, sub]), { a, b }); // extend the flow while it runs
}

async function inspectAdd(flow: StepFlow) {
  for await (const scope of flow.search('*', { where: (tag) => tag.content.includes('+') })) {
    for (const tag of scope.tags) flow.log(tag.content);
  }
}

async function inspectSub(flow: StepFlow) {
  for await (const scope of flow.search(sub)) flow.log(`${scope.recall<{ answer: number }>('data').answer}`);
}

const flow = new Flow('test', new ParquetStorage('history'))
  .failFast()
  .put({ random: new Random(42) })
  .push(repeat(simpleMath, 5)) // one group of five
  .push([inspectAdd, inspectSub]); // the next group, after the first has ended

await flow.execute();
console.log(`run ${flow.run}`); // two words, such as brave-otters
for (const { message } of await flow.logs) console.log(message);
console.log(`${(await flow.scopes).length} scopes, ${(await flow.errors).length} errors`);
