import { expect, test } from 'vitest';
import lock from '../package-lock.json' with { type: 'json' };
import manifest from '../package.json' with { type: 'json' };

interface Locked {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const packages: Readonly<Record<string, Locked>> = lock.packages;

test('the lock file names the packages of every platform: bin/complete-lock.js adds those that a registry left out', () => {
  const absent = Object.entries(packages).flatMap(([folder, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => packages[`${folder}/node_modules/${name}`] === undefined && packages[`node_modules/${name}`] === undefined,
    ),
  );
  expect(absent).toEqual([]);
});

test('the lock file belongs to package.json', () => {
  const { dependencies, devDependencies, version } = lock.packages[''];
  expect({ dependencies, devDependencies, version }).toEqual({
    dependencies: manifest.dependencies,
    devDependencies: manifest.devDependencies,
    version: manifest.version,
  });
});

test('the lock file names no registry, so that any mirror may serve it', () => {
  expect(JSON.stringify(lock)).not.toContain('"resolved"');
});
