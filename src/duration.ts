const second = 1_000; // ms
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/**
 * Milliseconds for people, in at most two units: `~0ms` (under half a millisecond), `12ms`, `1.5s`, `2m 5s`, `1h 3m`, `3d 4h`. Rounded
 * to what is shown, and carried: 59.96 s is `1m`. A negative duration has a minus sign, infinity is `∞`, NaN is `?`.
 */
export function humanDuration(ms: number): string {
  if (Number.isNaN(ms)) return '?';
  if (ms < 0) return ms > -0.5 ? '~0ms' : `-${humanDuration(-ms)}`;
  if (ms === Infinity) return '∞';
  if (ms < 0.5) return '~0ms';
  if (rounded(ms, 1) < second) return `${rounded(ms, 1)}ms`;
  if (rounded(ms, second / 10) < minute) return `${rounded(ms, second / 10) / second}s`;
  if (rounded(ms, second) < hour) return inUnits(rounded(ms, second), minute, 'm', second, 's');
  if (rounded(ms, minute) < day) return inUnits(rounded(ms, minute), hour, 'h', minute, 'm');
  return inUnits(rounded(ms, hour), day, 'd', hour, 'h');
}

const units: Readonly<Record<string, number>> = { ms: 1, s: second, m: minute, h: hour, d: day };

/**
 * Milliseconds from a number of them, or from a text with a unit: `'7d'`, `'12h'`, `'30m'`, `'45s'`, `'500ms'`, fractions too. Null for
 * anything else, and for what is negative or not finite.
 */
export function parseDuration(value: unknown): number | null {
  const [, digits, unit = ''] = (typeof value === 'string' && /^(\d+(?:\.\d+)?) ?(ms|[smhd])$/.exec(value)) || [];
  const ms = typeof value === 'number' ? value : digits === undefined ? Number.NaN : Number(digits) * (units[unit] as number);
  return Number.isFinite(ms) && ms >= 0 ? ms : null;
}

function rounded(ms: number, unit: number): number {
  return Math.round(ms / unit) * unit;
}

function inUnits(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = (ms % large) / small;
  return `${Math.floor(ms / large)}${largeName}${rest === 0 ? '' : ` ${rest}${smallName}`}`;
}
