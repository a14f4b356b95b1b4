#!/usr/bin/env node
// Adds to package-lock.json the optional packages of other platforms, where the registry that it was made with does not serve
// them: without them `npm ci` refuses the file, and other platforms would go without. Their parents name exact versions; there
// is no integrity to add. To be run after `npm install <package>`; does nothing to a complete file.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const platform = /\b(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-([a-z0-9]+)(?:-(gnu|musl)?\w*)?$/;
const libcs = { gnu: 'glibc', musl: 'musl' };

let added = 0;
for (const [folder, { optionalDependencies, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
    const [, os, cpu, libc] = platform.exec(name) ?? [];
    if (os === undefined || [`${folder}/node_modules/${name}`, `node_modules/${name}`].some((place) => place in lock.packages))
      continue;
    if (!/^\d/.test(version)) throw new Error(`${folder} asks for ${name} "${version}": the lock file needs an exact version`);
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: [cpu],
      ...(dev && { dev }),
      ...(libc && { libc: [libcs[libc]] }),
      optional: true,
      os: [os],
    };
    added++;
  }
}

if (added > 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
console.error(`package-lock.json: ${added} packages of other platforms added`);
