import type { Draw } from './crash-model.ts';

/** What a disk may do to a file: a few flipped bits, a lost end, a range of zeros. */
export interface Damage {
  readonly words: string;
  apply(content: Buffer): Buffer;
}

export function drawDamage(draw: Draw, size: number): Damage {
  const kind = draw();
  const at = Math.floor(draw() * size);
  if (kind < 0.5) {
    const count = 1 + Math.floor(draw() * 3);
    const flips = Array.from({ length: count }, () => [Math.floor(draw() * size), 1 << Math.floor(draw() * 8)] as const);
    return {
      words: `bits flipped at ${flips.map(([offset, mask]) => `${offset} by ${mask}`).join(', ')}`,
      apply: (content) => {
        const damaged = Buffer.from(content);
        for (const [offset, mask] of flips) damaged[offset] = (damaged[offset] as number) ^ mask;
        return damaged;
      },
    };
  }
  if (kind < 0.75) return { words: `cut to ${at} of ${size} bytes`, apply: (content) => Buffer.from(content.subarray(0, at)) };
  const length = 1 + Math.floor(draw() * Math.min(size - at, 4_096));
  return {
    words: `${length} bytes zeroed at ${at}`,
    apply: (content) => Buffer.from(content).fill(0, at, at + length),
  };
}
