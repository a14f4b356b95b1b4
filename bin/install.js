#!/usr/bin/env node
// Installs the packages of package-lock.json where they are not there yet: in a fresh clone, after a change of the lock file,
// or when the folder came from another platform. Plain JavaScript without packages, since it runs before there are any.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The entries of a lock file by folder; none where there is no such file. */
function lockedPackages(file) {
  if (!existsSync(join(root, file))) return {};
  return JSON.parse(readFileSync(join(root, file), 'utf8')).packages;
}

/** Whether a package is left out on this machine. Optional packages that name no platform belong to some that do. */
function isElsewhere({ optional, os, cpu, libc }) {
  if (!optional) return false;
  return os?.includes(process.platform) !== true || cpu?.includes(process.arch) === false || libc !== undefined;
}

const locked = lockedPackages('package-lock.json');
const installed = lockedPackages('node_modules/.package-lock.json'); // npm's own note of what it has put there
const missing = Object.keys(locked).filter((folder) => {
  if (folder === '' || isElsewhere(locked[folder])) return false;
  return installed[folder]?.version !== locked[folder].version || !existsSync(join(root, folder));
});

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`marque needs Node 20.19 or newer, this is ${process.versions.node}: see https://nodejs.org`);
  process.exit(1);
}

if (missing.length > 0) {
  console.error(`Installing ${missing.length} packages (npm ci) …`);
  const npm = process.env.npm_execpath; // set while npm runs a script; spawning npm by name differs on Windows
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const { status, error } = spawnSync(command, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (error !== undefined) console.error(`npm could not be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
