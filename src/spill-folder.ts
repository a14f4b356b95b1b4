import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const alive = new Set<string>();

/** Where one DuckDB instance puts what does not fit into memory: a fresh folder, readable by its owner only. */
export class SpillFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<SpillFolder> {
    if (alive.size === 0) process.on('exit', removeAll);
    const path = await mkdtemp(join(tmpdir(), 'marque-'));
    alive.add(path);
    return new SpillFolder(path);
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    alive.delete(this.path);
    if (alive.size === 0) process.off('exit', removeAll);
  }
}

/** For databases still open when the process ends. */
function removeAll(): void {
  for (const path of alive) rmSync(path, { recursive: true, force: true });
}
