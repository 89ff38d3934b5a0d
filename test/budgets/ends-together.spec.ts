import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { expectSoundBooks, SONNET } from '../support/money.js';
import { organisation, type TestOrganisation } from '../support/organisations.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterEach(() => expectSoundBooks(service));
afterAll(() => service.close());

/** Carries out calls in one statement, as a process under load does, and returns their answers in the order of the calls. */
async function together(
  acme: TestOrganisation,
  calls: object[],
  query = service.owner.query.bind(service.owner),
) {
  const requests = calls.map((call) => ({ accountId: acme.id, actor: 'service:chat', ...call }));
  const { rows } = await query<{ answer: Record<string, unknown> }>(
    'SELECT answer FROM movements($1, $2, 0) ORDER BY place',
    [acme.id, JSON.stringify(requests)],
  );
  return rows.map(({ answer }) => answer);
}

const settle = ({ userId }: HttpClient, sessionId: string, tokens: number) => ({
  ...{ operation: 'session_settle', userId, sessionId, reason: 'finalized', success: true },
  ...{ quantities: { tokens }, serviceTier: 'standard' },
});
const hold = ({ userId }: HttpClient, sessionId: string) => ({
  ...{ operation: 'session_hold', userId, sessionId, modelId: SONNET, estimatedTokens: 1000 },
  ...{ bufferPercent: 20, leaseSeconds: 900, rejectUnpriced: false },
});
const progress = ({ userId }: HttpClient, sessionId: string, tokensGenerated: number) => ({
  ...{ operation: 'session_progress', userId, sessionId, tokensGenerated },
  ...{ bufferPercent: 20, leaseSeconds: 900, maximumAgeSeconds: 86_400 },
});

async function countsOf(id: number) {
  const { rows } = await service.owner.query<{ used: string; held: string; open: number }>(
    'SELECT used, held, open_sessions AS open FROM budget_periods WHERE budget_id = $1 ORDER BY user_id',
    [id],
  );
  return rows.map(({ used, held, open }) => [Number(used), Number(held), open]);
}

describe('sessions that end in one statement', () => {
  let acme: TestOrganisation;
  let ann: HttpClient;
  let ben: HttpClient;
  let budgets: {
    account: number;
    search: number;
    member: number;
    tokens: number;
    requests: number;
    places: number;
  };
  beforeAll(async () => {
    acme = await organisation(service);
    await acme.allocate(1000);
    [ann, ben] = [
      await acme.member('member', { userId: 'ann' }),
      await acme.member('member', { userId: 'ben' }),
    ];
    const of = (unit: string, amount: number, scope = 'account') =>
      acme.budget({ scope, unit, window: 'day', amount });
    budgets = {
      account: await of('credits', 100),
      search: await acme.budget({
        scope: 'tag',
        scopeId: 'feature=search',
        unit: 'credits',
        window: 'day',
        amount: 24,
      }),
      member: await of('credits', 16, 'each_member'),
      tokens: await of('tokens', 100_000),
      requests: await of('requests', 100),
      places: await acme.budget({ scope: 'account', unit: 'sessions', amount: 4 }),
    };
    for (const [user, id] of [
      [ann, 'a0'],
      [ann, 'a1'],
      [ben, 'b1'],
      [ben, 'b2'],
    ] as const) {
      expect((await acme.start(user, id, { tags: { feature: 'search' } })).status).toBe(201);
    }
  });

  it('are counted before what may spend what they give back, each once', async () => {
    const answers = await together(acme, [
      settle(ann, 'a1', 334),
      settle(ben, 'b1', 5000),
      settle(ann, 'a0', 1),
      ...['a2', 'a3', 'a4'].map((id) => hold(ann, id)),
      settle(ann, 'a1', 334),
      progress(ben, 'b2', 100),
      settle(ben, 'b2', 1000),
    ]);
    // Four of four places were taken.
    expect(answers.map(({ outcome }) => outcome)).toEqual([
      ...Array(3).fill('ok'),
      ...Array(3).fill('created'),
      ...Array(3).fill('ok'),
    ]);
    // b1 costs 15 credits: ann has used 2 and holds 4, and b2 holds 4, when it exceeds the search's 24 by 1, and ben's 16 by 3.
    expect(answers[1]?.['overrun']).toEqual([
      { budgetId: budgets.search, by: 1 },
      { budgetId: budgets.member, by: 3 },
    ]);
    expect(await countsOf(budgets.account)).toEqual([[2 + 15 + 1 + 3, 3 * 4, 3]]);
    expect(await countsOf(budgets.search)).toEqual([[2 + 15 + 1 + 3, 0, 0]]);
    expect(await countsOf(budgets.member)).toEqual([
      [2 + 1, 3 * 4, 3],
      [15 + 3, 0, 0],
    ]);
    expect(await countsOf(budgets.tokens)).toEqual([[334 + 5000 + 1 + 1000, 3000, 3]]);
    expect(await countsOf(budgets.requests)).toEqual([[4, 3, 3]]);
    expect(await countsOf(budgets.places)).toEqual([[0, 3, 3]]);
    const { rows: events } = await service.owner.query<{ type: string }>(
      `SELECT type FROM event_outbox WHERE account_id = $1 AND type = 'budget.exhausted' AND data ->> 'budgetId' = $2`,
      [acme.id, String(budgets.member)],
    );
    expect(events).toHaveLength(1);
  });

  it('are counted, too, when the statement has no time left for the rest', async () => {
    const slow = await service.owner.connect();
    try {
      await slow.query('BEGIN');
      await slow.query(`
        CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.25); RETURN NULL; END';
        CREATE TRIGGER slow AFTER INSERT ON usage_records FOR EACH ROW EXECUTE FUNCTION pg_temp.wait()`);
      const calls = [settle(ann, 'a2', 334), settle(ann, 'a3', 334), hold(ann, 'a5')];
      const first = await together(acme, calls, slow.query.bind(slow));
      await slow.query('DROP TRIGGER slow ON usage_records; DROP FUNCTION pg_temp.wait()');
      await slow.query('COMMIT');
      expect(first.map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'not_carried_out']);
    } finally {
      slow.release();
    }
    expect(await countsOf(budgets.account)).toEqual([[21 + 2 + 2, 4, 1]]);
    expect(await countsOf(budgets.places)).toEqual([[0, 1, 1]]);
  });
});
