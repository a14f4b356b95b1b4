/** Command lines that look into the store that a sweep has just written, for the person who ran it to try. */
export function nextLines(folder: string): string[] {
  const isDefault = folder === 'history';
  const marque = isDefault ? 'npx marque' : `npx marque --store '${folder.replaceAll("'", String.raw`'\''`)}'`;
  return [
    `${marque} runs`,
    `${marque} search 'iris.evaluate.*' --limit 5`,
    `${marque} sql "SELECT run, max(value) AS best FROM tags WHERE content = 'mean accuracy' GROUP BY run"`,
  ];
}
