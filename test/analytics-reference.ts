/** The questions of `sql/analytics/`, answered once more by plain loops over plain rows, for the tests to compare with. */

export interface ReferenceScope {
  readonly sid: number;
  readonly flow: string;
  readonly step: string;
  readonly run: string;
  readonly path: string;
  readonly attempt: number;
  readonly status: string;
  readonly params: Readonly<Record<string, unknown>> | null;
  readonly durationMs: number;
  readonly dispatchMs: number | null;
  readonly encodeMs: number | null;
  /** Of one tag, in order. */
  readonly series: readonly (number | null)[];
}

/** Sorted keys, as scopes are recorded. */
export function paramsText(params: ReferenceScope['params']): string | null {
  if (params === null) return null;
  return JSON.stringify(Object.fromEntries(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** The last number of a series, where it is one to reckon with. */
export function valueOf({ series }: ReferenceScope): number | null {
  const last = series.filter((value) => value !== null).at(-1);
  return last !== undefined && Number.isFinite(last) && Math.abs(last) < 1e150 ? last : null;
}

export function groupBy<T>(items: readonly T[], key: (item: T) => unknown): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const text = JSON.stringify(key(item));
    groups.set(text, [...(groups.get(text) ?? []), item]);
  }
  return groups;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample; null below two values. */
export function deviation(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** Null where one of them does not vary. */
export function pearson(xs: readonly number[], ys: readonly number[]): number | null {
  if (new Set(xs).size < 2 || new Set(ys).size < 2) return null;
  const [mx, my] = [mean(xs), mean(ys)];
  const sum = (f: (index: number) => number) => xs.reduce((total, _, index) => total + f(index), 0);
  const [x, y] = [(index: number) => (xs[index] as number) - mx, (index: number) => (ys[index] as number) - my];
  return sum((i) => x(i) * y(i)) / Math.sqrt(sum((i) => x(i) ** 2) * sum((i) => y(i) ** 2));
}

/** From 1; equal values share the mean of theirs. */
export function ranks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    return below + (values.filter((other) => other === value).length + 1) / 2;
  });
}

/** Like quantile_cont: linear between the nearest two. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)] as number, sorted[Math.ceil(place)] as number];
  return low + (high - low) * (place - Math.floor(place));
}

/** Both tails of Student's t, by the continued fraction of the incomplete beta function (Lentz), unlike the SQL, which integrates. */
export function tails(t: number, freedom: number): number {
  return incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/** The 97.5 % quantile, by bisection of the tails. */
export function quantileOfT(freedom: number): number {
  let [low, high] = [0, 100];
  for (let step = 0; step < 200; step++) {
    const middle = (low + high) / 2;
    if (tails(middle, freedom) > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function incompleteBeta(x: number, a: number, b: number): number {
  if (x === 0 || x === 1) return x;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let [c, d] = [1, 1 / (1 - ((a + b) * x) / (a + 1))];
  let result = d;
  for (let m = 1; m <= 10_000; m++) {
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / (1 + term * d);
      c = 1 + term / c;
      result *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return front * result;
}

/** Stirling's series, after raising the argument to where it is exact to the last digit. */
function logGamma(x: number): number {
  let [y, shift] = [x, 0];
  for (; y < 12; y++) shift += Math.log(y);
  const z = 1 / (y * y);
  const series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z / 1188)))) / y;
  return (y - 0.5) * Math.log(y) - y + Math.log(2 * Math.PI) / 2 + series - shift;
}
