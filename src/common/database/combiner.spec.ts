import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ServiceUnavailable } from '../errors/service-error.js';
import { Combiner, type Keyed, NOT_CARRIED_OUT } from './combiner.js';

const PATIENCE = 3000;
const LONGEST_STATEMENT = 12_000;
/** As in combiner.ts. */
const LANE_MILLISECONDS = 250;
const MAXIMUM_TOGETHER = 5;
const MAXIMUM_WAITING_PER_KEY = 8;

/** Nothing was carried out, as the database itself reports. */
class RolledBack extends Error {}
/** The connection was lost: the statement may have been carried out or not. */
class ConnectionLost extends Error {}

interface Statement {
  milliseconds: number;
  end: 'ok' | 'in part' | 'rolled back' | 'lost before' | 'lost after';
}
interface Arrival {
  at: number;
  key: string;
}

const arrivals = fc.array(
  fc.record({ at: fc.integer({ min: 0, max: 9000 }), key: fc.constantFrom('a', 'b', 'c') }),
  { minLength: 1, maxLength: 60 },
);
const statements = fc.array(
  fc.record({
    milliseconds: fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 0, max: 10 }) },
      { weight: 3, arbitrary: fc.integer({ min: 200, max: 700 }) },
      { weight: 2, arbitrary: fc.integer({ min: 2500, max: LONGEST_STATEMENT }) },
    ),
    end: fc.oneof(
      { weight: 4, arbitrary: fc.constant('ok' as const) },
      { weight: 2, arbitrary: fc.constantFrom('in part' as const, 'rolled back' as const) },
      { weight: 1, arbitrary: fc.constantFrom('lost before' as const, 'lost after' as const) },
    ),
  }),
  { minLength: 1, maxLength: 40 },
);

/** A database in virtual time, whose statements take and end as `script` says, over and over. */
class ScriptedDatabase {
  readonly carriedOut: { key: string; id: number }[] = [];
  readonly sent = new Set<number>();
  private readonly underWay = new Set<{ keys: string[]; begunAt: number; isTogether: boolean }>();
  mostOfOneKey = 0;
  mostTogether = 0;
  private statements = 0;

  /** @param onChange called when a statement has ended, or has had its lane for as long as it may */
  constructor(
    private readonly script: Statement[],
    private readonly onChange: () => void,
  ) {}

  async run(requests: readonly Keyed<number>[], isTogether: boolean) {
    const { milliseconds, end } = this.script[this.statements++ % this.script.length] as Statement;
    const statement = {
      keys: [...new Set(requests.map(({ key }) => key))],
      begunAt: performance.now(),
      isTogether,
    };
    for (const { work } of requests) this.sent.add(work);
    this.underWay.add(statement);
    for (const key of statement.keys) this.mostOfOneKey = Math.max(this.mostOfOneKey, this.of(key));
    const together = this.inLanes().filter((other) => other.isTogether).length;
    this.mostTogether = Math.max(this.mostTogether, together);
    setTimeout(this.onChange, LANE_MILLISECONDS + 2);
    await new Promise((passed) => setTimeout(passed, milliseconds));
    this.underWay.delete(statement);
    setTimeout(this.onChange, 1);
    if (end === 'rolled back') throw new RolledBack();
    const left = end === 'in part' ? requests.slice(Math.ceil(requests.length / 2)) : [];
    if (end !== 'lost before') {
      for (const { key, work } of requests) {
        if (!left.some((other) => other.work === work)) this.carriedOut.push({ key, id: work });
      }
    }
    if (end === 'lost before' || end === 'lost after') throw new ConnectionLost();
    for (const { work } of left) this.sent.delete(work);
    return requests.map((request) => (left.includes(request) ? NOT_CARRIED_OUT : request.work * 10));
  }

  /** Statements of a key that are under way. */
  of(key: string): number {
    return [...this.underWay].filter(({ keys }) => keys.includes(key)).length;
  }

  /** Statements under way that may be in a lane still. */
  inLanes(milliseconds = LANE_MILLISECONDS) {
    return [...this.underWay].filter(({ begunAt }) => performance.now() - begunAt < milliseconds);
  }
}

interface Outcome {
  id: number;
  key: string;
  waited: number;
  answer?: number;
  error?: unknown;
}

/** Lets requests arrive, and waits until nothing is left to happen. */
async function play(when: Arrival[], script: Statement[], lanes: number, isOneByOnePerKey: boolean) {
  const outcomes: Outcome[] = [];
  const asked = new Map<number, string>();
  const idle: number[] = [];
  const database = new ScriptedDatabase(script, () => {
    for (const [id, key] of asked) {
      const waits = !database.sent.has(id) && !outcomes.some((outcome) => outcome.id === id);
      const isKeyFree = !isOneByOnePerKey || database.of(key) === 0;
      // Timers of one millisecond go off in any order.
      if (waits && isKeyFree && database.inLanes(LANE_MILLISECONDS + 1).length < lanes) idle.push(id);
    }
  });
  const combiner = new Combiner<number, number>({
    isCombining: true,
    lanes,
    maximumTogether: MAXIMUM_TOGETHER,
    maximumSlow: Infinity,
    maximumWaitingPerKey: MAXIMUM_WAITING_PER_KEY,
    maximumWaiting: 40,
    patienceMilliseconds: PATIENCE,
    isOneByOnePerKey,
    together: (requests) => database.run(requests, true),
    alone: async (request) => (await database.run([request], false))[0] as number,
    mayBeOfOne: (error) => error instanceof RolledBack,
  });
  const inOrder = [...when].sort((a, b) => a.at - b.at);
  inOrder.forEach(({ at, key }, id) => {
    setTimeout(() => {
      const askedAt = performance.now();
      const keep = (rest: Partial<Outcome>) =>
        outcomes.push({ id, key, waited: performance.now() - askedAt, ...rest });
      asked.set(id, key);
      combiner.ask(key, id).then(
        (answer) => keep({ answer }),
        (error: unknown) => keep({ error }),
      );
    }, at);
  });
  await vi.advanceTimersByTimeAsync(9000 + PATIENCE + LONGEST_STATEMENT + 1000);
  expect(combiner.size).toBe(0);
  return { outcomes, database, idle };
}

describe('requests that are combined, with statements of any duration and any end', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
  afterEach(() => vi.useRealTimers());

  it.each([
    { lanes: 1, isOneByOnePerKey: false },
    { lanes: 1, isOneByOnePerKey: true },
    { lanes: 4, isOneByOnePerKey: true },
  ])(
    'are each answered once and in time, and carried out at most once: %o',
    async ({ lanes, isOneByOnePerKey }) => {
      await fc.assert(
        fc.asyncProperty(arrivals, statements, async (when, script) => {
          const { outcomes, database, idle } = await play(when, script, lanes, isOneByOnePerKey);
          const effects = database.carriedOut.map(({ id }) => id);
          expect(outcomes.map(({ id }) => id).sort((a, b) => a - b)).toEqual(when.map((_, id) => id));
          expect(new Set(effects).size).toBe(effects.length);
          // None waits while its key and a lane are free.
          expect(idle).toEqual([]);
          expect(database.mostTogether).toBeLessThanOrEqual(lanes);
          for (const { id, waited, answer, error } of outcomes) {
            expect(waited).toBeLessThanOrEqual(PATIENCE + LONGEST_STATEMENT + 1);
            if (answer !== undefined) expect(answer).toBe(id * 10);
            if (answer !== undefined) expect(effects).toContain(id);
            if (error instanceof ServiceUnavailable || error instanceof RolledBack) {
              expect(effects).not.toContain(id);
            }
          }
        }),
        { numRuns: 300 },
      );
    },
  );

  it('of one key are carried out one statement at a time, in the order in which they came', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, statements, async (when, script) => {
        const { database } = await play(when, script, 4, true);
        expect(database.mostOfOneKey).toBeLessThanOrEqual(1);
        for (const { key } of when) {
          const ids = database.carriedOut.filter((effect) => effect.key === key).map(({ id }) => id);
          expect(ids).toEqual([...ids].sort((a, b) => a - b));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('that wait behind a statement are refused at the limit on waiting, not when it ends', async () => {
    const { outcomes } = await play(
      [
        { at: 0, key: 'a' },
        { at: 10, key: 'a' },
        { at: 500, key: 'a' },
      ],
      [{ milliseconds: LONGEST_STATEMENT, end: 'ok' }],
      4,
      true,
    );
    expect(outcomes.map(({ id }) => id)).toEqual([1, 2, 0]);
    for (const late of outcomes.slice(0, 2)) {
      expect(late.error).toBeInstanceOf(ServiceUnavailable);
      expect(late.waited).toBeLessThanOrEqual(PATIENCE + 5);
    }
  });

  it('that their statement has left out go next, in order, before those that came meanwhile', async () => {
    const at = (time: number) => ({ at: time, key: 'a' });
    const { database } = await play(
      [at(0), at(1), at(2), at(3), at(4), at(105)],
      [
        { milliseconds: 100, end: 'ok' },
        { milliseconds: 10, end: 'in part' },
        { milliseconds: 10, end: 'ok' },
      ],
      4,
      true,
    );
    expect(database.carriedOut.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('that their statement has left out are refused at the limit on waiting, counted from when they came', async () => {
    let statements = 0;
    const run = async (requests: readonly Keyed<string>[]) => {
      const isInPart = ++statements === 2;
      await new Promise((passed) =>
        setTimeout(passed, statements === 1 ? 100 : isInPart ? PATIENCE : 10_000),
      );
      return requests.map(({ work }, index) => (isInPart && index > 0 ? NOT_CARRIED_OUT : work));
    };
    const combiner = new Combiner<string, string>({
      isCombining: true,
      lanes: 1,
      maximumTogether: 5,
      maximumSlow: Infinity,
      maximumWaitingPerKey: 100,
      maximumWaiting: 1000,
      patienceMilliseconds: PATIENCE,
      isOneByOnePerKey: true,
      together: run,
      alone: async (request) => (await run([request]))[0] as string,
      mayBeOfOne: () => false,
    });
    const refusedAt = new Map<string, number>();
    const ask = (key: string, work: string) =>
      void combiner.ask(key, work).catch(() => refusedAt.set(work, performance.now()));
    const begun = performance.now();
    for (const work of ['first', 'second', 'left out']) ask('a', work);
    // They came later and keep the lane busy when the statement ends, 3.1 s after the beginning.
    setTimeout(() => {
      for (let key = 0; key < 100; key++) ask(`b${key}`, `of ${key}`);
    }, 2900);
    await vi.advanceTimersByTimeAsync(20_000);
    expect((refusedAt.get('left out') ?? Infinity) - begun).toBeLessThanOrEqual(100 + PATIENCE + 5);
  });

  it('never wait in the statement of a slow key that is known', async () => {
    // A statement in which `slow` is takes longer than its lane; the others come while it is under way.
    const statements: string[][] = [];
    const run = async (requests: readonly Keyed<number>[]) => {
      statements.push(requests.map(({ key }) => key));
      const milliseconds = requests.some(({ key }) => key === 'slow') ? 2 * LANE_MILLISECONDS : 5;
      await new Promise((passed) => setTimeout(passed, milliseconds));
      return requests.map(({ work }) => work);
    };
    const combiner = new Combiner<number, number>({
      isCombining: true,
      lanes: 1,
      maximumTogether: 64,
      maximumSlow: Infinity,
      maximumWaitingPerKey: 100,
      maximumWaiting: 1000,
      patienceMilliseconds: PATIENCE,
      isOneByOnePerKey: true,
      together: run,
      alone: async (request) => (await run([request]))[0] as number,
      mayBeOfOne: () => false,
    });
    for (let at = 0; at < 2000; at += 20) {
      for (const key of ['a', 'slow', 'b'])
        setTimeout(() => void combiner.ask(key, at).catch(() => 'late'), at);
    }
    await vi.advanceTimersByTimeAsync(20_000);
    const withSlow = statements.filter((keys) => keys.includes('slow'));
    const together = withSlow.filter((keys) => keys.some((key) => key !== 'slow'));
    expect(withSlow.length).toBeGreaterThan(3);
    expect(together.length).toBeLessThanOrEqual(1);
  });

  it('go on with their answers only after the next statement was sent, so that the database does not wait', async () => {
    const happened: string[] = [];
    const run = async (requests: readonly Keyed<number>[]) => {
      happened.push(`sent ${requests.map(({ work }) => work).join()}`);
      await new Promise((passed) => setTimeout(passed, 10));
      return requests.map(({ work }) => work);
    };
    const combiner = new Combiner<number, number>({
      isCombining: true,
      lanes: 4,
      maximumTogether: 2,
      maximumSlow: Infinity,
      maximumWaitingPerKey: 100,
      maximumWaiting: 1000,
      patienceMilliseconds: PATIENCE,
      isOneByOnePerKey: true,
      together: run,
      alone: async (request) => (await run([request]))[0] as number,
      mayBeOfOne: () => false,
    });
    for (let id = 0; id < 5; id++)
      void combiner.ask('a', id).then((answer) => happened.push(`answered ${answer}`));
    await vi.advanceTimersByTimeAsync(1000);
    expect(happened.slice(2)).toEqual([
      'sent 1,2',
      'sent 3,4',
      'answered 1',
      'answered 2',
      'answered 3',
      'answered 4',
    ]);
  });

  it('are refused at once when too many of their key wait', async () => {
    const at = (time: number) => ({ at: time, key: 'a' });
    const { outcomes } = await play(
      Array.from({ length: MAXIMUM_WAITING_PER_KEY + 3 }, (_, index) => at(index)),
      [{ milliseconds: 100, end: 'ok' }],
      4,
      true,
    );
    const refused = outcomes.filter(({ error }) => error !== undefined);
    expect(refused.map(({ id, waited }) => ({ id, waited }))).toEqual([
      { id: MAXIMUM_WAITING_PER_KEY + 1, waited: 0 },
      { id: MAXIMUM_WAITING_PER_KEY + 2, waited: 0 },
    ]);
  });

  it('of slow keys are under way no more than they may be at once, and keep no other key waiting', async () => {
    let underWay = 0;
    let most = 0;
    const run = async (requests: readonly Keyed<number>[]) => {
      const isSlow = requests[0]?.key !== 'fast';
      if (isSlow) most = Math.max(most, ++underWay);
      await new Promise((passed) => setTimeout(passed, isSlow ? 1000 : 5));
      if (isSlow) underWay--;
      return requests.map(({ work }) => work);
    };
    const combiner = new Combiner<number, number>({
      isCombining: true,
      lanes: 2,
      maximumTogether: 64,
      maximumSlow: 2,
      maximumWaitingPerKey: 100,
      maximumWaiting: 1000,
      patienceMilliseconds: PATIENCE,
      isOneByOnePerKey: true,
      together: run,
      alone: async (request) => (await run([request]))[0] as number,
      mayBeOfOne: () => false,
    });
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    const ask = (key: string) => combiner.ask(key, 1).catch(() => 'late');
    for (const key of keys) void ask(key);
    await vi.advanceTimersByTimeAsync(10_000);
    most = 0;
    const slow = keys.map(ask);
    await vi.advanceTimersByTimeAsync(600);
    const begun = performance.now();
    const fast = ask('fast').then(() => performance.now() - begun);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(most).toBe(2);
    expect(await fast).toBeLessThan(20);
    expect(await Promise.all(slow)).toContain(1);
  });
});
