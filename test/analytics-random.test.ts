import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../src/storage/memory-store.ts';
import {
  deviation,
  groupBy,
  mean,
  paramsText,
  pearson,
  quantile,
  quantileOfT,
  ranks,
  type ReferenceScope,
  tails,
  valueOf,
} from './analytics-reference.ts';
import { randomScopes, StorageOver, writeScopes } from './analytics-store.ts';
import { isLarge } from './size.ts';

const seeds = Array.from({ length: isLarge ? 200 : 6 }, (_, index) => index + 1);

/** Two numbers that were worked out in different ways. */
function near(value: number | null): unknown {
  return value === null ? null : expect.closeTo(value, 8 - Math.ceil(Math.log10(Math.abs(value) + 1)));
}

/** Rows of two origins, whatever order they are in where means are equal but for rounding. */
function byKey<T extends object>(list: readonly T[], ...keys: readonly (keyof T)[]): T[] {
  const text = (row: T) => JSON.stringify(keys.map((key) => row[key]));
  return list.toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
}

function present(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}

describe.each(seeds)('a random history, of seed %i', (seed) => {
  async function opened(): Promise<{ storage: StorageOver; scopes: readonly ReferenceScope[] }> {
    const store = new MemoryStore();
    const first = await writeScopes(store, 'first-run', randomScopes(seed, seed * 9));
    const second = await writeScopes(store, 'second-run', randomScopes(seed + 1_000, 40), { flow: 'other' });
    return { storage: new StorageOver(store), scopes: [...first, ...second] };
  }

  test('has the leaderboard that plain loops make', async () => {
    const { storage, scopes } = await opened();
    await using _ = storage;
    const tagged = new Set(scopes.filter(({ series }) => series.length > 0).map(({ flow, step }) => `${flow}.${step}`));
    const counted = scopes.filter(({ status, flow, step }) => status !== 'retried' && tagged.has(`${flow}.${step}`));
    for (const by of [undefined, ['a/~b', 'lr'], []]) {
      const paramsOf = ({ params }: ReferenceScope): string => {
        if (by === undefined) return paramsText(params) ?? '{}';
        return `{${by.map((name) => `${JSON.stringify(name)}:${JSON.stringify(params?.[name] ?? null)}`).join(',')}}`;
      };
      const expected = [...groupBy(counted, (scope) => [scope.flow, scope.step, paramsOf(scope)]).values()].map((group) => {
        const [scope] = group as [ReferenceScope];
        const values = present(group.map(valueOf));
        const n = values.length;
        const sd = deviation(values);
        const centre = n === 0 ? null : mean(values);
        const half = sd === null ? null : (quantileOfT(n - 1) * sd) / Math.sqrt(n);
        return {
          flow: scope.flow,
          step: scope.step,
          params: paramsOf(scope),
          n,
          n_missing: group.length - n,
          mean: near(centre),
          sd: near(sd),
          ci_low: near(half === null ? null : (centre as number) - half),
          ci_high: near(half === null ? null : (centre as number) + half),
          lowest: n === 0 ? null : Math.min(...values),
          highest: n === 0 ? null : Math.max(...values),
        };
      });
      const found = await storage.best('loss', { order: 'highest', by });
      expect(byKey(found, 'flow', 'step', 'params')).toEqual(byKey(expected, 'flow', 'step', 'params'));
      const means = found.map((row) => row.mean ?? Number.NEGATIVE_INFINITY);
      expect(means).toEqual(means.toSorted((a, b) => b - a));
    }
  });

  test('has the importances that plain loops make', async () => {
    const { storage, scopes } = await opened();
    await using _ = storage;
    const points = scopes.flatMap((scope) => {
      const value = valueOf(scope);
      if (scope.status === 'retried' || value === null) return [];
      const members = Object.entries(scope.params ?? {}).filter(([, level]) => level !== null);
      return members.map(([param, level]) => ({ flow: scope.flow, step: scope.step, param, level, value }));
    });
    const expected = [...groupBy(points, ({ flow, step, param }) => [flow, step, param]).values()].map((group) => {
      const [{ flow, step, param }] = group as [(typeof group)[0]];
      const values = group.map(({ value }) => value);
      const [n, centre] = [values.length, mean(values)];
      const total = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
      const levels = [...groupBy(group, ({ level }) => level).values()].map((one) => one.map(({ value }) => value));
      const within = levels.flatMap((one) => one.map((value) => (value - mean(one)) ** 2)).reduce((a, b) => a + b, 0);
      const isNumeric = group.every(({ level }) => typeof level === 'number');
      const numbers = group.map(({ level }) => level as number);
      const varies = new Set(values).size > 1;
      const spearman = isNumeric ? pearson(ranks(numbers), ranks(values)) : null;
      const adjusted = varies && n > levels.length ? 1 - within / (n - levels.length) / (total / (n - 1)) : null;
      const strength = adjusted === null && spearman === null ? null : Math.max(adjusted ?? 0, (spearman ?? 0) ** 2, 0);
      return {
        flow,
        step,
        param,
        is_numeric: isNumeric,
        n,
        levels: levels.length,
        pearson: near(isNumeric ? pearson(numbers, values) : null),
        spearman: near(spearman),
        variance_explained: near(varies ? 1 - within / total : null),
        variance_explained_adjusted: near(adjusted),
        importance: near(strength),
      };
    });
    const found = await storage.importance('loss');
    expect(byKey(found, 'flow', 'step', 'param')).toEqual(byKey(expected, 'flow', 'step', 'param'));
    const order = found.map((row) => row.importance ?? -1);
    expect(order).toEqual(order.toSorted((a, b) => b - a));
  });

  test('has the comparison that plain loops make', async () => {
    const { storage, scopes } = await opened();
    await using _ = storage;
    const { metrics, params } = storage.compare(['first-run', 'second-run']);
    const of = (run: string, step: string) =>
      present(scopes.filter((scope) => scope.run === run && scope.step === step && scope.status !== 'retried').map(valueOf));
    const moved = await metrics;
    const measured = ['test', 'train'].filter((step) => [...of('first-run', step), ...of('second-run', step)].length > 0);
    expect(moved.map(({ step }) => step as string).toSorted()).toEqual(measured);
    for (const row of moved) {
      const [own, base] = [of('second-run', row.step as string), of('first-run', row.step as string)];
      expect([row.tag, row.n, row.baseline_n]).toEqual(['loss', own.length, base.length]);
      expect([row.mean, row.sd]).toEqual([own.length === 0 ? null : near(mean(own)), near(deviation(own))]);
      expect([row.baseline_mean, row.baseline_sd]).toEqual([base.length === 0 ? null : near(mean(base)), near(deviation(base))]);
      if (own.length < 2 || base.length < 2) {
        expect([row.p_value, row.is_noise]).toEqual([null, null]);
        continue;
      }
      const [a, b] = [(deviation(own) as number) ** 2 / own.length, (deviation(base) as number) ** 2 / base.length];
      const difference = mean(own) - mean(base);
      expect(row.difference).toEqual(near(difference));
      const freedom = (a + b) ** 2 / (a ** 2 / (own.length - 1) + b ** 2 / (base.length - 1));
      const expected = a + b === 0 ? Number(difference === 0) : tails(Math.abs(difference) / Math.sqrt(a + b), freedom);
      expect(row.p_value).toBeCloseTo(expected, 7);
      expect(row.is_noise).toBe((row.p_value as number) >= 0.05);
    }
    const levels = (run: string, step: string, param: string) => {
      const texts = scopes.flatMap((scope) =>
        scope.run === run && scope.step === step && scope.status !== 'retried' && param in (scope.params ?? {})
          ? [JSON.stringify(scope.params?.[param])]
          : [],
      );
      return [...new Set(texts)].toSorted();
    };
    const differing = ['other', 'test', 'train'].flatMap((step) =>
      ['a/~b', 'lr', 'same', 'é "q"'].flatMap((param) => {
        const [first, second] = [levels('first-run', step, param), levels('second-run', step, param)];
        if (JSON.stringify(first) === JSON.stringify(second)) return [];
        return [
          { step, param, run: 'first-run', levels: first },
          { step, param, run: 'second-run', levels: second },
        ];
      }),
    );
    const found = (await params).map(({ step, param, run, levels: text }) => {
      const texts = (JSON.parse(text) as unknown[]).map((level) => JSON.stringify(level));
      return { step, param, run, levels: texts.toSorted() };
    });
    expect(found).toEqual(differing);
  });

  test('has the durations and retries that plain loops make', async () => {
    const { storage, scopes } = await opened();
    await using _ = storage;
    const durations = [...groupBy(scopes, ({ flow, step, run }) => [flow, step, run]).values()].map((group) => {
      const [{ flow, step, run }] = group as [ReferenceScope];
      const ended = group.filter(({ status }) => status !== 'retried');
      const [times, retried] = [ended, group.filter(({ status }) => status === 'retried')].map((list) =>
        list.map((s) => s.durationMs),
      ) as [number[], number[]];
      const [dispatch, encode] = [present(ended.map((s) => s.dispatchMs)), present(ended.map((s) => s.encodeMs))];
      const measured = ended.filter((s) => s.dispatchMs !== null || s.encodeMs !== null);
      const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
      const whole = sum(measured.map((s) => s.durationMs + (s.dispatchMs ?? 0)));
      return {
        flow,
        step,
        run,
        n: times.length,
        total_ms: near(sum(times)),
        mean_ms: near(mean(times)),
        median_ms: near(quantile(times, 0.5)),
        p95_ms: near(quantile(times, 0.95)),
        max_ms: Math.max(...times),
        n_retried: retried.length,
        retried_ms: near(sum(retried)),
        dispatch_ms: dispatch.length === 0 ? null : near(sum(dispatch)),
        encode_ms: encode.length === 0 ? null : near(sum(encode)),
        overhead: measured.length === 0 ? null : near(sum(measured.map((s) => (s.dispatchMs ?? 0) + (s.encodeMs ?? 0))) / whole),
      };
    });
    expect(byKey(await storage.durations(), 'flow', 'step', 'run')).toEqual(byKey(durations, 'flow', 'step', 'run'));

    const retries = [...groupBy(scopes, ({ flow, step }) => [flow, step]).values()].map((group) => {
      const [{ flow, step }] = group as [ReferenceScope];
      const positions = [...groupBy(group, ({ run, path }) => [run, path]).values()];
      const count = (test: (attempts: readonly ReferenceScope[]) => boolean) => positions.filter(test).length;
      const retried = count((attempts) => attempts.length > 1);
      const recovered = count((attempts) => attempts.length > 1 && attempts.at(-1)?.status === 'ok');
      const failed = count((attempts) => attempts.at(-1)?.status === 'error');
      return {
        flow,
        step,
        n: positions.length,
        attempts: group.length,
        retried,
        recovered,
        failed,
        unfinished: 0,
        attempt_failure_rate: near(group.filter(({ status }) => status !== 'ok').length / group.length),
        failure_rate: near(failed / positions.length),
        retry_rate: near(retried / positions.length),
        recovery_rate: retried === 0 ? null : near(recovered / retried),
      };
    });
    expect(byKey(await storage.retries(), 'flow', 'step')).toEqual(byKey(retries, 'flow', 'step'));
  });

  test('has the coverage that plain loops make', async () => {
    const { storage, scopes } = await opened();
    await using _ = storage;
    const grid = { 'é "q"': [3, 0, 7], 'a/~b': ['adam', null, [1, 2], { deep: 'x' }, 0.01], lr: [0.1, 1] };
    const expected = grid['é "q"'].flatMap((q) =>
      grid['a/~b'].flatMap((a) =>
        grid.lr.map((lr) => {
          const point = { 'é "q"': q, 'a/~b': a, lr };
          const at = scopes.filter(({ params, status }) => {
            const same = Object.entries(point).every(
              ([name, level]) => params !== null && name in params && JSON.stringify(params[name]) === JSON.stringify(level),
            );
            return same && (status === 'ok' || status === 'error');
          });
          const ok = at.filter(({ status }) => status === 'ok').length;
          const status = ok > 0 ? 'present' : at.length > 0 ? 'failed' : 'missing';
          return { params: JSON.stringify(point), status, n_ok: ok, n_failed: at.length - ok };
        }),
      ),
    );
    expect(await storage.coverage(grid)).toEqual(expected);
  });
});
