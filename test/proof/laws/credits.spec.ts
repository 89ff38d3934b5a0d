// @module-tag one-by-one
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CreditsAuditService } from '../../../src/credits/credits-audit.service.js';
import { Database } from '../../../src/common/database/database.js';
import type { Origin } from '../../../src/common/http/author.js';
import { Movements } from '../../../src/common/database/movements.js';
import { ALLOCATE, DEDUCT, EXPIRE, REVOKE } from '../../../src/credits/credits.operations.js';
import { HOLD, PROGRESS, SETTLE, TIME_OUT } from '../../../src/streaming-sessions/sessions.operations.js';
import { CHARGE, REVIEW } from '../../../src/usage/usage.operations.js';
import { SONNET } from '../../support/money.js';
import { freshUser, startService, type TestService } from '../../support/service.js';
import { type Answer, CreditsModel, type Decision, MAXIMUM_AGE_SECONDS } from './credits-model.js';

/** What the service answered; the model says which of it matters. */
type Actual = { outcome: string; id?: number };

/**
 * Random operations against the real database and against the model of the laws, side by side: after every step the
 * answers and everything that is kept must agree. A failure prints its seed and path; PROPERTY_SEED and PROPERTY_PATH
 * play it again, PROPERTY_RUNS plays more.
 */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 1000);
const CONCURRENT_RUNS = Math.ceil(RUNS / 4);
const REPLAY = {
  ...(process.env.PROPERTY_SEED ? { seed: Number(process.env.PROPERTY_SEED) } : {}),
  ...(process.env.PROPERTY_PATH ? { path: process.env.PROPERTY_PATH } : {}),
};

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService({ DB_POOL_SIZE: '8' });
  second = await service.another();
});
afterAll(async () => {
  await second.close();
  await service.close();
});

type Command =
  | { do: 'allocate'; credits: number; days: number }
  | { do: 'deduct'; credits: number }
  | { do: 'revoke'; lot: number }
  | { do: 'hold'; session: string; tokens: number }
  | { do: 'progress'; session: string; tokens: number }
  | { do: 'finalize'; session: string; tokens: number; success: boolean }
  | { do: 'abort'; session: string; tokens: number | null }
  | { do: 'timeOut'; session: string }
  | { do: 'expire' }
  | {
      do: 'charge';
      key: string;
      tokens: number;
      billing: 'billed' | 'needs_review';
      onShort: 'reject' | 'review';
    }
  | ({ do: 'review' } & Decision)
  | { do: 'advance'; seconds: number };

const credits = fc.constantFrom(1, 2, 3, 4, 10, 37);
const tokens = fc.constantFrom(1, 333, 334, 1000, 1300, 5000);
const session = fc.constantFrom('s0', 's1', 's2');
const key = fc.constantFrom('c0', 'c1', 'c2');
/** A version may be right, past or yet to come; a waive never names an amount. */
function reviewOf(reviewed: fc.Arbitrary<string>): fc.Arbitrary<{ do: 'review' } & Decision> {
  return fc
    .record({
      do: fc.constant('review' as const),
      key: reviewed,
      action: fc.constantFrom('bill' as const, 'waive' as const),
      credits: fc.option(fc.constantFrom(0, 1, 3, 40), { freq: 1 }),
      version: fc.constantFrom(1, 1, 2, 2, 3),
      idempotencyKey: fc.option(fc.constantFrom('k0', 'k1'), { freq: 1 }),
    })
    .map((review) => (review.action === 'waive' ? { ...review, credits: null } : review));
}
const movement: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ do: fc.constant('allocate' as const), credits, days: fc.constantFrom(1, 2, 10) }),
  fc.record({ do: fc.constant('deduct' as const), credits }),
  fc.record({ do: fc.constant('revoke' as const), lot: fc.nat(5) }),
  fc.record({ do: fc.constant('hold' as const), session, tokens }),
  fc.record({ do: fc.constant('progress' as const), session, tokens }),
  fc.record({
    do: fc.constant('finalize' as const),
    session,
    tokens: fc.oneof(tokens, fc.constant(0)),
    success: fc.boolean(),
  }),
  fc.record({ do: fc.constant('abort' as const), session, tokens: fc.option(tokens) }),
  fc.record({ do: fc.constant('timeOut' as const), session }),
  fc.record({ do: fc.constant('expire' as const) }),
  fc.record({
    do: fc.constant('charge' as const),
    key,
    tokens,
    billing: fc.constantFrom('billed' as const, 'billed' as const, 'needs_review' as const),
    onShort: fc.constantFrom('reject' as const, 'review' as const),
  }),
  reviewOf(fc.oneof(key, fc.constantFrom('session:s0', 'session:s1'))),
);
/** Steps of at least ten seconds, so that no slow machine can step over a deadline by itself. */
const time: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('advance' as const),
  seconds: fc.constantFrom(100, 890, 900, 910, 86_400, 172_800),
});
const anything = fc.oneof({ arbitrary: movement, weight: 6 }, { arbitrary: time, weight: 1 });

/** Rarely met by chance: a stream that outgrows the credits, times out, is perhaps reviewed, and is finalized late. */
const between = fc.array(movement, { maxLength: 2 });
const reviews = (maxLength: number) => fc.array(reviewOf(fc.constant('session:s0')), { maxLength });
/** What a late finalize says: often what the time-out has charged, or a little more or less. */
const lateTokens = fc.oneof(tokens, fc.constantFrom(15_000, 20_000, 20_001, 25_000));
const lateStory = fc
  .tuple(tokens, between, between, fc.boolean(), reviews(2), between, lateTokens, reviews(3))
  .map(([estimate, first, next, isToppedUp, early, last, final, late]): Command[] => [
    { do: 'hold', session: 's0', tokens: estimate },
    { do: 'progress', session: 's0', tokens: 20_000 },
    ...first,
    { do: 'advance', seconds: 910 },
    { do: 'timeOut', session: 's0' },
    ...next,
    ...(isToppedUp ? [{ do: 'allocate' as const, credits: 37, days: 10 }] : []),
    ...early,
    ...last,
    { do: 'finalize', session: 's0', tokens: final, success: true },
    ...late,
  ]);
const story = fc.oneof(
  { arbitrary: fc.array(anything, { minLength: 5, maxLength: 25 }), weight: 3 },
  { arbitrary: lateStory, weight: 1 },
);

const NO_KEY = { callerId: 'property', idempotencyKey: null, requestHash: null };
const LEASE = { bufferPercent: 20, leaseSeconds: 900 };

const ORIGIN: Origin = { actor: 'property', role: 'service', address: null, requestId: null };

/** One user of the real database. */
class Subject {
  private readonly movements: Movements;
  private readonly database: Database;
  private readonly named: { accountId: string; userId: string; actor: string; origin: Origin };

  constructor(
    instance: TestService,
    readonly userId: string,
  ) {
    this.movements = instance.get(Movements);
    this.database = instance.get(Database);
    this.named = { accountId: userId, userId, actor: 'property', origin: ORIGIN };
  }

  on(instance: TestService): Subject {
    return new Subject(instance, this.userId);
  }

  async run(command: Command, lots: number[]): Promise<Actual | undefined> {
    const { movements, named } = this;
    const { accountId } = named;
    switch (command.do) {
      case 'allocate': {
        const lot = { credits: command.credits, expiryDays: command.days, notes: null };
        return movements.run(ALLOCATE, { ...named, ...NO_KEY, ...lot, email: null, username: null });
      }
      case 'deduct':
        return movements.run(DEDUCT, { ...named, ...NO_KEY, credits: command.credits, notes: 'x' });
      case 'revoke': {
        if (lots.length === 0) return undefined;
        const allocationId = lots[command.lot % lots.length] as number;
        return movements.run(REVOKE, { ...named, ...NO_KEY, allocationId, notes: null });
      }
      case 'hold':
        return movements.run(HOLD, {
          ...named,
          ...LEASE,
          sessionId: command.session,
          modelId: SONNET,
          estimatedTokens: command.tokens,
          estimatedInputTokens: undefined,
          estimatedOutputTokens: undefined,
          rejectUnpriced: false,
          apiKeyId: null,
        });
      case 'progress':
        return movements.run(PROGRESS, {
          ...named,
          ...LEASE,
          sessionId: command.session,
          tokensGenerated: command.tokens,
          maximumAgeSeconds: MAXIMUM_AGE_SECONDS,
          apiKeyId: null,
        });
      case 'finalize':
      case 'abort':
        return movements.run(SETTLE, {
          ...named,
          sessionId: command.session,
          providerCostUsd: null,
          reason: command.do === 'abort' ? 'aborted' : 'finalized',
          success: command.do === 'finalize' && command.success,
          quantities: { tokens: command.tokens ?? undefined },
          serviceTier: 'standard',
          tokensGenerated: command.tokens ?? undefined,
          apiKeyId: null,
        });
      case 'timeOut':
        return this.database.call(TIME_OUT, { ...named, sessionId: command.session, wait: true });
      case 'expire':
        return void (await this.database.call(EXPIRE, { accountId, wait: true }));
      case 'charge':
        return this.charge(command);
      case 'review':
        return this.review(command);
      case 'advance':
        return void (await this.advance(command.seconds));
    }
  }

  private async charge(command: Command & { do: 'charge' }): Promise<Actual> {
    const answer = await this.movements.run(CHARGE, {
      ...this.named,
      ...NO_KEY,
      requestId: command.key,
      contentHash: (command.tokens % 256).toString(16).padStart(64, '0'),
      modelId: SONNET,
      quantities: { tokens: command.tokens },
      serviceTier: 'standard',
      unexplainedTokens: 0,
      service: 'chat',
      metadata: {},
      timestamp: null,
      providerCostUsd: null,
      billingStatus: command.billing,
      onInsufficient: command.onShort,
      rejectUnpriced: false,
      apiKeyId: null,
    });
    return answer.outcome === 'ok' ? { outcome: 'ok', ...answer.record } : answer;
  }

  private async review(decision: Decision): Promise<Actual> {
    const { key: name, action, credits: amount, version, idempotencyKey } = decision;
    const { rows } = await service.owner.query<{ id: string }>(
      'SELECT id FROM usage_records WHERE account_id = $1 AND (request_id = $2 OR session_id = $3)',
      [this.userId, name, name.replace('session:', '')],
    );
    if (rows[0] === undefined) return { outcome: 'usage_not_found' };
    const requestHash = createHash('sha256')
      .update(JSON.stringify([name, action, amount, version]))
      .digest('hex');
    return this.movements.run(REVIEW, {
      ...this.named,
      ...{ callerId: this.userId, idempotencyKey, requestHash },
      ...{ usageId: Number(rows[0].id), version, action, credits: amount },
    });
  }

  /** Time goes on by as much as everything that is due moves nearer. */
  private async advance(seconds: number): Promise<void> {
    const by = `interval '${seconds} seconds'`;
    await service.owner.query(
      `WITH lots AS (UPDATE credit_allocations SET expires_at = expires_at - ${by} WHERE account_id = $1),
         sessions AS (UPDATE streaming_sessions SET expires_at = expires_at - ${by}, started_at = started_at - ${by}
                      WHERE account_id = $1)
       UPDATE credit_balances SET next_expiry = next_expiry - ${by} WHERE account_id = $1`,
      [this.userId],
    );
  }

  /** Everything the laws speak of. */
  async state(): Promise<unknown> {
    const { rows } = await service.owner.query<{ state: unknown }>(STATE, [this.userId]);
    return rows[0]?.state;
  }
}

const STATE = `SELECT jsonb_build_object(
  'available', available_credits($1), 'held', b.held,
  'lots', coalesce((SELECT jsonb_agg(jsonb_build_array(id, remaining_credits) ORDER BY expires_at, id)
     FROM credit_allocations WHERE account_id = $1 AND is_open AND expires_at > now()), '[]'),
  'sessions', coalesce((SELECT jsonb_object_agg(session_id, jsonb_build_array(status, allocated_credits, used_credits,
     uncollected_credits, tokens_generated)) FROM streaming_sessions WHERE account_id = $1), '{}'),
  'records', coalesce((SELECT jsonb_object_agg(coalesce(request_id, 'session:' || session_id),
     jsonb_build_array(service, credits, uncollected_credits, billing_status, version))
     FROM usage_records WHERE account_id = $1), '{}'),
  'usage', (SELECT coalesce(sum(credits), 0) FROM usage_daily WHERE account_id = $1)
) AS state FROM credit_balances b WHERE account_id = $1`;

function stateOf(model: CreditsModel): unknown {
  const records = [...model.records.values()];
  return {
    available: model.available,
    held: model.held,
    lots: model.liveLots().map(({ id, remaining }) => [id, remaining]),
    sessions: Object.fromEntries(
      [...model.sessions].map(([id, one]) => [
        id,
        [one.status, one.allocated, one.used, one.uncollected, one.tokensGenerated],
      ]),
    ),
    records: Object.fromEntries(
      records.map((one) => [one.key, [one.service, one.credits, one.uncollected, one.status, one.version]]),
    ),
    usage: records.reduce((sum, one) => sum + one.credits, 0),
  };
}

function apply(model: CreditsModel, command: Command, actual: Actual | undefined): Answer | undefined {
  switch (command.do) {
    case 'allocate':
      return model.allocate(Number(actual?.id), command.credits, command.days);
    case 'deduct':
      return model.deduct(command.credits);
    case 'revoke':
      return actual === undefined ? undefined : model.revoke(Number(actual.id));
    case 'hold':
      return model.hold(command.session, command.tokens);
    case 'progress':
      return model.progress(command.session, command.tokens);
    case 'finalize':
      return model.finalize(command.session, command.tokens, command.success);
    case 'abort':
      return model.abort(command.session, command.tokens);
    case 'timeOut':
      return model.timeOut(command.session);
    case 'charge':
      return model.charge(command.key, command.tokens, command.billing, command.onShort);
    case 'review':
      return model.review(command);
    case 'advance':
      return void model.advance(command.seconds);
    case 'expire':
      return undefined;
  }
}

async function newSubject(): Promise<Subject> {
  const userId = freshUser('p');
  await service.owner.query(
    `WITH account AS (INSERT INTO user_accounts (user_id, email, username) VALUES ($1, $1 || '@x', 'x') RETURNING 1)
     INSERT INTO credit_balances (account_id) SELECT $1 FROM account`.replaceAll('$1', `'${userId}'`),
  );
  return new Subject(service, userId);
}

/** Operations one after the other, each compared at once. */
async function playInTurn(subject: Subject, model: CreditsModel, commands: Command[]): Promise<void> {
  for (const command of commands) {
    const lots = model.lots.map(({ id }) => id);
    const actual = await subject.run(command, lots);
    const expected = apply(model, command, actual);
    if (expected !== undefined) expect(actual, JSON.stringify(command)).toMatchObject(expected);
    expect(await subject.state(), JSON.stringify(command)).toEqual(stateOf(model));
  }
}

async function expectCleanAudit(subject: Subject): Promise<void> {
  const { differences } = await service.get(CreditsAuditService).audit(subject.userId);
  expect(differences).toEqual([]);
}

function permutations<Item>(items: Item[]): Item[][] {
  if (items.length <= 1) return [items];
  return items.flatMap((item, index) =>
    permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]),
  );
}

const matches = (actual: unknown, expected: unknown): boolean => {
  try {
    expect(actual).toMatchObject(expected as object);
    return true;
  } catch {
    return false;
  }
};

describe('the laws of credits', () => {
  it(`hold for ${RUNS} random sequences of operations, step by step`, { timeout: 900_000 }, async () => {
    let steps = 0;
    await fc.assert(
      fc.asyncProperty(story, async (commands) => {
        const subject = await newSubject();
        steps += commands.length;
        // A user without credits can do little.
        await playInTurn(subject, new CreditsModel(), [
          { do: 'allocate', credits: 37, days: 2 },
          ...commands,
        ]);
        await expectCleanAudit(subject);
      }),
      { numRuns: RUNS, ...REPLAY },
    );
    expect(steps).toBeGreaterThan(RUNS * 5 - 1);
  });

  it(
    `hold for ${CONCURRENT_RUNS} random bursts over two instances: some order of the operations gives what came out`,
    { timeout: 900_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(anything, { maxLength: 8 }),
          fc.array(movement, { minLength: 2, maxLength: 4 }),
          async (before, burst) => {
            const subject = await newSubject();
            const model = new CreditsModel();
            await playInTurn(subject, model, [{ do: 'allocate', credits: 37, days: 2 }, ...before]);
            const lots = model.lots.map(({ id }) => id);
            const other = subject.on(second);
            const actual = await Promise.all(
              burst.map((command, index) => (index % 2 ? other : subject).run(command, lots)),
            );
            const state = await subject.state();
            const explained = permutations(burst.map((_, index) => index)).some((order) => {
              const world = model.clone();
              const answered = order.every((index) => {
                const expected = apply(world, burst[index] as Command, actual[index]);
                return expected === undefined || matches(actual[index], expected);
              });
              return answered && matches(state, stateOf(world)) && matches(stateOf(world), state);
            });
            expect(explained, JSON.stringify({ burst, actual, state })).toBe(true);
            await expectCleanAudit(subject);
          },
        ),
        { numRuns: CONCURRENT_RUNS, ...REPLAY },
      );
    },
  );
});
