// @module-tag pooler
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import {
  countByStatus,
  expectSoundBooks,
  initialize,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { eventsOf, organisation, patch } from '../support/organisations.js';
import { expectProblem } from '../support/problems.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

interface Budget {
  id: number;
  used: number;
  held: number;
  left: number;
  limit: number;
  setBy: string;
  startsAt: string | null;
  resetsAt: string | null;
  countsFrom: string;
  createdAt: string;
}
const budgetOf = async (client: HttpClient, account: string, id: number) =>
  (await client.get<Budget>(`/api/budgets/${id}?accountId=${account}`)).body;

/** Ends the present periods of an account, as the time does. */
const endPeriods = (account: string) =>
  service.owner.query(
    `UPDATE budget_periods SET starts_at = starts_at - interval '100 days', ends_at = now() WHERE account_id = $1`,
    [account],
  );

/** Ends the raises of an account, as the time does. */
const endRaises = (account: string) =>
  service.owner.query(
    `WITH ended AS (UPDATE budget_raises SET until = now() WHERE account_id = $1 AND until IS NOT NULL)
     UPDATE budget_periods SET raised_until = now() WHERE account_id = $1`,
    [account],
  );

describe('a hard budget of credits', () => {
  it('402: refuses what it has no room for, names itself, and says what fits, exactly', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const user = await acme.member('member');
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'month', amount: 10 });
    expect(await acme.start(user, 'a')).toMatchObject({ status: 201 });
    const refused = await acme.start(user, 'b', { estimatedTokens: 2000 });
    expect(refused).toMatchObject({
      status: 402,
      body: {
        code: 'budget.exceeded',
        requiredCredits: 8,
        availableCredits: 6,
        limits: [
          { budgetId: id, scope: 'account', unit: 'credits', window: 'month', limit: 10, used: 0, held: 4 },
        ],
      },
    });
    const most = refused.body.maxAffordableTokens as number;
    expect(await acme.start(user, 'c', { estimatedTokens: most + 1 })).toMatchObject({ status: 402 });
    expect(await acme.start(user, 'd', { estimatedTokens: most })).toMatchObject({ status: 201 });
    expect(await acme.finalize(user, 'a', 1000)).toMatchObject({ status: 200, body: { overrun: [] } });
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ used: 3, held: 6, left: 1 });
  });

  it('is decided together with every other: the refusal names all that stand in the way', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const top = await acme.unit('top');
    const team = await acme.unit('team', top);
    const user = await acme.member('member', { unitId: team });
    const small = await Promise.all(
      [
        { scope: 'unit', scopeId: String(top) },
        { scope: 'unit', scopeId: String(team) },
        { scope: 'member', scopeId: user.userId },
        { scope: 'each_member' },
        { scope: 'model', scopeId: SONNET },
        { scope: 'model', scopeId: 'anthropic.*' },
        { scope: 'tag', scopeId: 'feature=search' },
      ].map((scope) => acme.budget({ ...scope, unit: 'credits', window: 'day', amount: 3 })),
    );
    await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 100 });
    await acme.budget({ scope: 'tag', scopeId: 'feature=other', unit: 'credits', window: 'day', amount: 0 });
    await acme.budget({ scope: 'model', scopeId: 'gpt*', unit: 'credits', window: 'day', amount: 0 });
    const refused = await acme.start(user, 's', { tags: { feature: 'search' } });
    expect(refused.status).toBe(402);
    const limits = refused.body.limits as { budgetId: number }[];
    expect(limits.map(({ budgetId }) => budgetId).sort()).toEqual([...small].sort());
    // Nothing was consumed.
    expect(await budgetOf(acme.owner, acme.id, small[0] as number)).toMatchObject({ used: 0, held: 0 });
    const stranger = await acme.member('member');
    expect(await acme.start(stranger, 's', { modelId: 'gpt-4o-mini', estimatedTokens: 0 })).toMatchObject({
      status: 201,
    });
  });

  it('is never exceeded: 500 starts and charges at once, four levels by day and month, two instances', async () => {
    const acme = await organisation(service);
    await acme.allocate(100_000);
    const second = await service.another();
    const top = await acme.unit('top');
    const team = await acme.unit('team', top);
    const users = await times(50, () => acme.member('member', { unitId: team }));
    const scopes = [
      ...[
        { scope: 'account' },
        { scope: 'unit', scopeId: String(top) },
        { scope: 'unit', scopeId: String(team) },
      ],
      { scope: 'each_member' },
    ];
    const amounts = { account: [900, 800], top: [700, 750], team: [600, 650], each: [20, 16] };
    for (const [level, [day, month]] of Object.values(amounts).entries()) {
      await acme.budget({ ...scopes[level], unit: 'credits', window: 'day', amount: day });
      await acme.budget({ ...scopes[level], unit: 'credits', window: 'month', amount: month });
    }
    const answers = await times(500, (n) => {
      const user = users[n % 50] as HttpClient;
      const client = n % 2 === 0 ? user : second.as(user.userId);
      const charge = { requestId: `c${n}`, accountId: acme.id, modelId: SONNET, tokens: 1000 };
      return n % 3 === 0 ? client.post('/api/usage/charge', charge) : acme.start(client, `s${n}`);
    });
    expect(Object.keys(countByStatus(answers))).toEqual(['201', '402']);
    const { rows } = await service.owner.query<{ left: number[]; periods: number }>(
      `SELECT array_agg(DISTINCT (b.amount - p.used - p.held)::integer) AS left, count(*)::integer AS periods
         FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
        WHERE p.account_id = $1`,
      [acme.id],
    );
    expect(rows[0]?.periods).toBeGreaterThan(6 + 2 * 30);
    expect(Math.min(...(rows[0]?.left ?? []))).toBeGreaterThanOrEqual(0);
    const spent = answers.reduce(
      (sum, { status }, n) => sum + (status === 201 ? (n % 3 === 0 ? 3 : 4) : 0),
      0,
    );
    expect(spent).toBeGreaterThan(600 - 4);
    expect(spent).toBeLessThanOrEqual(600);
    await second.close();
  });

  it('soft: only counts and emits', async () => {
    const acme = await organisation(service);
    await acme.allocate(100);
    const id = await acme.budget({
      scope: 'account',
      unit: 'credits',
      window: 'day',
      amount: 2,
      mode: 'soft',
      alerts: [50],
    });
    expect(await acme.start(acme.owner, 's')).toMatchObject({ status: 201 });
    await acme.finalize(acme.owner, 's', 1000);
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ used: 3, left: 0 });
    const types = (await eventsOf(service, acme.id)).map(([type]) => type);
    expect(types).toEqual(expect.arrayContaining(['budget.threshold', 'budget.exhausted']));
  });

  it('of a key: counts its whole line, beside its creditLimit; POST /credits/check has all of it', async () => {
    const user = await userWithCredits(service, 1000);
    const { body: key } = await user.post<{ id: number; key: string }>('/api/api-keys', {
      name: 'k',
      permissions: ['sessions:write', 'credits:read'],
    });
    const made = await user.post('/api/budgets', {
      scope: 'key',
      scopeId: String(key.id),
      unit: 'credits',
      window: 'day',
      amount: 5,
    });
    expect(made).toMatchObject({ status: 201, body: { setBy: 'account', amount: 5 } });
    const client = service.withHeaders({ 'x-api-key': key.key });
    expect((await client.post('/api/credits/check', { requiredCredits: 6 })).body).toMatchObject({
      hasSufficientCredits: false,
      availableCredits: 5,
    });
    const start = (name: string) =>
      client.post('/api/streaming-sessions/initialize', {
        sessionId: name,
        modelId: SONNET,
        estimatedTokens: 1000,
      });
    expect(await start('a')).toMatchObject({ status: 201 });
    expect(await start('b')).toMatchObject({ status: 402, body: { code: 'budget.exceeded' } });
    const list = (await user.get<{ items: { isKeyLimit: boolean; amount: number | null }[] }>('/api/budgets'))
      .body;
    expect(list.items).toMatchObject([
      { isKeyLimit: false, amount: 5 },
      { isKeyLimit: true, amount: null, held: 4 },
    ]);
  });
});

describe('limits of tokens, requests and sessions', () => {
  it('429: says after how many seconds the minute is over; nothing is consumed', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const [tokens] = await Promise.all([
      acme.budget({ scope: 'each_member', unit: 'tokens', window: 'hour', amount: 1500 }),
      acme.budget({ scope: 'account', unit: 'requests', window: 'lifetime', amount: 100 }),
    ]);
    const user = await acme.member('member');
    expect(await acme.start(user, 'a')).toMatchObject({ status: 201 });
    const refused = await acme.start(user, 'b');
    expect(refused).toMatchObject({
      status: 429,
      body: { code: 'limit.exceeded', limits: [{ budgetId: tokens, used: 0, held: 1000, limit: 1500 }] },
    });
    const seconds = Number(refused.headers.get('retry-after'));
    const [limit] = refused.body.limits as { resetsAt: string }[];
    expect(Math.abs(Date.parse(limit?.resetsAt as string) - Date.now() - seconds * 1000)).toBeLessThan(3000);
    expect(refused.body.maxAffordableTokens).toBe(500);
    expect(await acme.start(user, 'c', { estimatedTokens: 500 })).toMatchObject({ status: 201 });
    // Corrected at settlement: 600 and 500 of 1500.
    await acme.finalize(user, 'a', 600);
    await acme.finalize(user, 'c', 500);
    expect(await acme.start(user, 'd', { estimatedTokens: 400 })).toMatchObject({ status: 201 });
    expect(await acme.start(user, 'e', { estimatedTokens: 1 })).toMatchObject({ status: 429 });
    // Each member has a count of their own.
    expect(await acme.start(await acme.member('member'), 'a')).toMatchObject({ status: 201 });
  });

  it('has no Retry-After for a call that fits only with the raise of today', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'tokens', window: 'day', amount: 1000 });
    await acme.owner.post(`/api/budgets/${id}/raises`, { accountId: acme.id, amount: 500, reason: 'r' });
    const start = (estimatedTokens: number) =>
      acme.start(acme.owner, `s${estimatedTokens}`, { estimatedTokens });
    expect((await start(600)).status).toBe(201);
    const [tomorrow, never] = [await start(1000), await start(1200)];
    expect([tomorrow.status, never.status]).toEqual([429, 429]);
    expect(Number(tomorrow.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(never.headers.get('retry-after')).toBeNull();
  });

  it('requests: counts sessions and charges; what never fits has no Retry-After', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    await acme.budget({ scope: 'account', unit: 'requests', window: 'minute', amount: 2 });
    await acme.budget({ scope: 'account', unit: 'tokens', window: 'day', amount: 5000 });
    const charge = (requestId: string, tokens = 10) =>
      acme.owner.post('/api/usage/charge', { requestId, accountId: acme.id, modelId: SONNET, tokens });
    const never = await charge('never', 6000);
    expect(never.status).toBe(429);
    expect(never.headers.get('retry-after')).toBeNull();
    let answers: Answer[] = [];
    // A minute may end between them: then again.
    for (let turn = 0; turn < 2 && answers.at(-1)?.status !== 429; turn++) {
      answers = [
        await charge(`a${turn}`),
        await acme.start(acme.owner, `b${turn}`),
        await charge(`c${turn}`),
      ];
    }
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 429]);
    expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });

  it('sessions: a client that crashed frees its place when its lease ends, before any sweeper', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    await acme.budget({ scope: 'account', unit: 'sessions', amount: 2 });
    expect(await acme.start(acme.owner, 'a')).toMatchObject({ status: 201 });
    expect(await acme.start(acme.owner, 'b')).toMatchObject({ status: 201 });
    const refused = await acme.start(acme.owner, 'c');
    expect(refused).toMatchObject({ status: 429, body: { limits: [{ unit: 'sessions', held: 2 }] } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    await service.owner.query(
      `WITH ended AS (
         UPDATE streaming_sessions SET expires_at = now() WHERE account_id = $1 AND session_id = 'a' RETURNING id, expires_at)
       UPDATE session_places p SET expires_at = ended.expires_at FROM ended WHERE p.session = ended.id`,
      [acme.id],
    );
    expect(await acme.start(acme.owner, 'c')).toMatchObject({ status: 201 });
    // Its place is taken: it may settle, and not go on.
    const progress = await acme.owner.post('/api/streaming-sessions/progress', {
      sessionId: 'a',
      accountId: acme.id,
      tokensGenerated: 5,
    });
    expect(progress.body).toMatchObject({ shouldStop: true, reason: 'limit.exceeded' });
    await acme.finalize(acme.owner, 'b', 10);
    expect(await acme.start(acme.owner, 'd')).toMatchObject({ status: 201 });
    await acme.finalize(acme.owner, 'a', 10);
    expect(await acme.start(acme.owner, 'e')).toMatchObject({ status: 429 });
  });
});

describe('a running stream', () => {
  it('is stopped by the budget that its growth meets, and named in the answer', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 6 });
    await acme.start(acme.owner, 's');
    const progress = async (tokensGenerated: number) =>
      (
        await acme.owner.post('/api/streaming-sessions/progress', {
          sessionId: 's',
          accountId: acme.id,
          tokensGenerated,
        })
      ).body;
    expect(await progress(900)).toMatchObject({
      shouldStop: false,
      reason: null,
      limits: [],
      allocatedCredits: 4,
    });
    expect(await progress(1500)).toMatchObject({ shouldStop: false, allocatedCredits: 6 });
    expect(await progress(1800)).toMatchObject({
      shouldStop: true,
      reason: 'budget.exceeded',
      limits: [{ budgetId: id, limit: 6, used: 0, held: 6 }],
      maxAffordableTokens: 2000,
    });
    // Only a settlement above its hold may exceed it, and says so.
    expect((await acme.finalize(acme.owner, 's', 3000)).body).toMatchObject({
      actualCredits: 9,
      overage: 3,
      overrun: [{ budgetId: id, by: 3 }],
    });
    expect((await acme.finalize(acme.owner, 's', 3000)).body.overrun).toEqual([{ budgetId: id, by: 3 }]);
  });

  it('goes on in the period in which it began: midnight, late settlement and review count there', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 10 });
    await acme.start(acme.owner, 'a');
    await endPeriods(acme.id);
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ used: 0, held: 0, left: 10 });
    await acme.start(acme.owner, 'b', { estimatedTokens: 2000 });
    await acme.finalize(acme.owner, 'a', 1000);
    const { items } = (
      await acme.owner.get<{ items: object[] }>(`/api/budgets/${id}/periods?accountId=${acme.id}`)
    ).body;
    expect(items).toMatchObject([
      { used: 0, held: 8 },
      { used: 3, held: 0 },
    ]);
  });
});

describe('a period', () => {
  it('counts from now in a budget that is made in the middle of it, and says so', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    await acme.start(acme.owner, 'before');
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'month', amount: 10 });
    await acme.finalize(acme.owner, 'before', 1000);
    await acme.start(acme.owner, 'after');
    const budget = await budgetOf(acme.owner, acme.id, id);
    expect(budget).toMatchObject({ used: 0, held: 4, countsFrom: budget.createdAt });
    expect(Date.parse(budget.startsAt as string)).toBeLessThanOrEqual(Date.parse(budget.createdAt));
  });

  it('is found again after a clock that was a day ahead, and counts nothing twice', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 10 });
    await acme.start(acme.owner, 'a');
    const move = (days: number) =>
      service.owner.query(
        `UPDATE budget_periods SET starts_at = starts_at + $2 * interval '1 day', ends_at = ends_at + $2 * interval '1 day'
          WHERE account_id = $1 AND held = 4`,
        [acme.id, days],
      );
    await move(1);
    await acme.start(acme.owner, 'b', { estimatedTokens: 2000 });
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ used: 0, held: 8 });
    await acme.finalize(acme.owner, 'a', 1000);
    await acme.finalize(acme.owner, 'b', 2000);
    const periods = await acme.owner.get<{ items: object[] }>(
      `/api/budgets/${id}/periods?accountId=${acme.id}`,
    );
    expect(periods.body.items).toMatchObject([
      { used: 3, held: 0 },
      { used: 6, held: 0 },
    ]);
  });

  it('exceeded by a late settlement of what was no longer held: its answer says so', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 12 });
    const tokens = await acme.budget({ scope: 'account', unit: 'tokens', window: 'day', amount: 4000 });
    expect(await acme.start(acme.owner, 's', { estimatedTokens: 3000 })).toMatchObject({ status: 201 });
    await service.owner.query('UPDATE streaming_sessions SET expires_at = now() WHERE account_id = $1', [
      acme.id,
    ]);
    await service.get(StreamingSessionsSweeper).sweep();
    const charge = { requestId: 'c', accountId: acme.id, modelId: SONNET, tokens: 3000 };
    expect(await acme.owner.post('/api/usage/charge', charge)).toMatchObject({ status: 201 });
    const late = await acme.finalize(acme.owner, 's', 3000);
    expect(late.body.overrun).toEqual([
      { budgetId: id, by: 6 },
      { budgetId: tokens, by: 2000 },
    ]);
  });

  it('lowered below what is held: progress says that what is held may be used', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'tokens', window: 'day', amount: 5000 });
    await acme.start(acme.owner, 's', { estimatedTokens: 4000 });
    await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount: 100 });
    const report = { sessionId: 's', accountId: acme.id, tokensGenerated: 200 };
    expect(await acme.owner.post('/api/streaming-sessions/progress', report)).toMatchObject({
      body: { shouldStop: false, maxAffordableTokens: 4000 },
    });
  });

  it('is that of the hold for a session that timed out and is settled late', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'tokens', window: 'day', amount: 5000 });
    await acme.start(acme.owner, 's');
    await service.owner.query('UPDATE streaming_sessions SET expires_at = now() WHERE account_id = $1', [
      acme.id,
    ]);
    await service.get(StreamingSessionsSweeper).sweep();
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ used: 0, held: 0 });
    await endPeriods(acme.id);
    expect((await acme.finalize(acme.owner, 's', 700)).body).toMatchObject({ late: true });
    const periods = await acme.owner.get<{ items: object[] }>(
      `/api/budgets/${id}/periods?accountId=${acme.id}`,
    );
    expect(periods.body.items).toMatchObject([{ used: 700, held: 0 }]);
  });
});

describe('a raise', () => {
  it('is for this period only, or until a moment in it, and lets go on what was refused', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 2 });
    expect(await acme.start(acme.owner, 'a')).toMatchObject({ status: 402 });
    const raise = (body: object) =>
      acme.owner.post(`/api/budgets/${id}/raises`, { accountId: acme.id, reason: 'the launch', ...body });
    const until = new Date(Date.now() + 3_600_000).toISOString();
    expect(await raise({ amount: 4, until })).toMatchObject({
      status: 201,
      body: { limit: 6, amount: 2, left: 6 },
    });
    expect(await acme.start(acme.owner, 'a')).toMatchObject({ status: 201 });
    // It ends in mid-stream: what is held stays, and nothing more fits.
    await endRaises(acme.id);
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ limit: 2, held: 4, left: 0 });
    expect(await acme.start(acme.owner, 'b', { estimatedTokens: 1 })).toMatchObject({ status: 402 });
    expect((await acme.finalize(acme.owner, 'a', 1000)).body).toMatchObject({
      actualCredits: 3,
      overrun: [],
    });
    await raise({ amount: 5 });
    await endPeriods(acme.id);
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ limit: 2, used: 0 });
    const { items } = (
      await acme.owner.get<{ items: { raises: object[] }[] }>(
        `/api/budgets/${id}/periods?accountId=${acme.id}`,
      )
    ).body;
    expect(items[0]?.raises).toMatchObject([
      { amount: 5, until: null },
      { amount: 4, reason: 'the launch' },
    ]);
    expect(await raise({ amount: 1, until: '2020-01-01T00:00:00Z' })).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'until' }] },
    });
  });
});

it('the history of a budget has the newest 20 raises of each period, and says how many there are', async () => {
  const acme = await organisation(service);
  const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 2 });
  for (let n = 1; n <= 22; n++) {
    const raise = { accountId: acme.id, amount: n, reason: 'x'.repeat(200) };
    expect((await acme.owner.post(`/api/budgets/${id}/raises`, raise)).status).toBe(201);
  }
  const { items } = (
    await acme.owner.get<{ items: { totalRaises: number; raises: { amount: number }[] }[] }>(
      `/api/budgets/${id}/periods?accountId=${acme.id}`,
    )
  ).body;
  expect(items.map(({ totalRaises }) => totalRaises)).toEqual([22]);
  expect(items[0]?.raises.map(({ amount }) => amount)).toEqual(Array.from({ length: 20 }, (_, n) => 22 - n));
});

describe('changes', () => {
  it('an amount below what is used and held breaks nothing, and nothing more fits', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 100 });
    await acme.start(acme.owner, 'a');
    const lowered = await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount: 1 });
    expect(lowered).toMatchObject({ status: 200, body: { amount: 1, held: 4, left: 0 } });
    expect(await acme.start(acme.owner, 'b')).toMatchObject({ status: 402 });
    expect(await acme.finalize(acme.owner, 'a', 1000)).toMatchObject({ status: 200, body: { refund: 1 } });
    expect((await acme.owner.delete(`/api/budgets/${id}?accountId=${acme.id}`)).status).toBe(204);
    expect(await acme.start(acme.owner, 'b')).toMatchObject({ status: 201 });
  });

  it('a member who moves counts for the new unit with what begins afterwards', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const [red, blue] = await Promise.all([acme.unit('red'), acme.unit('blue')]);
    const user = await acme.member('member', { unitId: red });
    const [ofRed, ofBlue] = await Promise.all(
      [red, blue].map((unit) =>
        acme.budget({ scope: 'unit', scopeId: String(unit), unit: 'credits', window: 'day', amount: 10 }),
      ),
    );
    await acme.start(user, 'a');
    expect((await patch(acme.owner, `${acme.path}/members/${user.userId}`, { unitId: blue })).status).toBe(
      200,
    );
    await acme.start(user, 'b');
    await acme.finalize(user, 'a', 1000);
    expect(await budgetOf(acme.owner, acme.id, ofRed as number)).toMatchObject({ used: 3, held: 0 });
    expect(await budgetOf(acme.owner, acme.id, ofBlue as number)).toMatchObject({ used: 0, held: 4 });
  });

  it('what the platform set its accounts cannot loosen', async () => {
    const acme = await organisation(service);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 5 }, acme.boss);
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ setBy: 'platform' });
    const refused = { status: 403, body: { code: 'budget.set_by_platform' } };
    const path = `/api/budgets/${id}`;
    expect(await patch(acme.owner, path, { accountId: acme.id, amount: 9 })).toMatchObject(refused);
    expect(await acme.owner.delete(`${path}?accountId=${acme.id}`)).toMatchObject(refused);
    const raise = { accountId: acme.id, amount: 1, reason: 'r' };
    expect(await acme.owner.post(`${path}/raises`, raise)).toMatchObject(refused);
    expect(await acme.boss.post(`${path}/raises`, raise)).toMatchObject({ status: 201 });
    const billing = await acme.member('billing');
    const plain = await acme.member('member');
    for (const member of [billing, plain]) {
      const made = await member.post('/api/budgets', {
        ...raise,
        scope: 'account',
        unit: 'credits',
        window: 'day',
        reason: undefined,
      });
      expect(made).toMatchObject({ status: 403, body: { code: 'account.role_required' } });
    }
    const stranger = service.as();
    expect(await stranger.get(`${path}?accountId=${acme.id}`)).toMatchObject({ status: 404 });
    expect(await stranger.get(`/api/budgets?accountId=${acme.id}`)).toMatchObject({ status: 404 });
    // Of another account it is not found, whoever asks.
    expect(await acme.owner.get(path)).toMatchObject({ status: 404, body: { code: 'budget.not_found' } });
  });

  it('409: a call never has many budgets to look up; those of the platform are counted apart', async () => {
    const user = await userWithCredits(service, 1);
    const make = (scope: object, by = user) =>
      by.post('/api/budgets', { scope: 'account', unit: 'credits', window: 'day', amount: 1, ...scope });
    expect(countByStatus(await times(9, () => make({})))).toEqual({ 201: 8, 409: 1 });
    const root = service.as('root', { role: 'admin' });
    expect((await make({ accountId: user.userId }, root)).status).toBe(201);
    const patterns = await times(21, (n) => make({ scope: 'model', scopeId: `gpt-${n}*` }));
    expect(countByStatus(patterns)).toEqual({ 201: 20, 409: 1 });
    expect((await make({ scope: 'model', scopeId: 'gpt-4o' })).status).toBe(201);
    const tags = await times(4, (n) => make({ scope: 'tag', scopeId: `name-${n}=a` }));
    expect(countByStatus(tags)).toEqual({ 201: 3, 409: 1 });
    expect((await make({ scope: 'tag', scopeId: 'name-0=b' })).status).toBe(201);
  });

  it('for a model counts its calls by every name: an alias, with its provider, under a price of its own', async () => {
    const root = service.as('root', { role: 'admin' });
    await root.post('/api/pricing/aliases', { alias: 'house-model', modelId: 'gpt-4o-mini' });
    await root.post('/api/pricing', { modelId: 'azure/gpt-4o-mini', pricePerThousandTokens: '1' });
    const user = await userWithCredits(service, 1000);
    const make = (scopeId: string) =>
      user.post<{ id: number }>('/api/budgets', {
        ...{ scope: 'model', scopeId, unit: 'requests', window: 'day', amount: 4 },
      });
    const [exact, pattern, other] = [await make('gpt-4o-mini'), await make('gpt-4o*'), await make('gpt-4')];
    const charge = (modelId: string) =>
      user.post('/api/usage/charge', { requestId: modelId, modelId, tokens: 10 });
    for (const model of ['gpt-4o-mini', 'house-model', 'azure/gpt-4o-mini', 'router/openai/gpt-4o-mini'])
      expect(await charge(model), model).toMatchObject({ status: 201 });
    for (const model of ['GPT-4o-mini', 'my-gpt-4o-mini'])
      expect(await charge(model), model).toMatchObject({ status: 201 });
    // An id that reads like a pattern is counted once, as the audit at the end says.
    expect(await charge('gpt-4o*')).toMatchObject({ status: 429 });
    for (const { body } of [exact, pattern])
      expect(await budgetOf(user, user.userId, body.id)).toMatchObject({ used: 4 });
    expect(await budgetOf(user, user.userId, other.body.id)).toMatchObject({ used: 0 });
    for (const model of ['openai/gpt-4o-mini', 'house-model']) {
      const refused = await initialize(user, `s-${model}`, { modelId: model });
      expect(refused).toMatchObject({ status: 429, body: { code: 'limit.exceeded' } });
    }
  });

  it.each([1000, 0])(
    'of a minute limits the growth of what began in it with %s tokens, also after others have begun',
    async (estimatedTokens) => {
      const user = await userWithCredits(service, 100_000);
      const made = await user.post<{ id: number }>('/api/budgets', {
        ...{ scope: 'account', unit: 'credits', window: 'minute', amount: 10 },
      });
      const endMinute = () =>
        service.owner.query(
          `UPDATE budget_periods SET starts_at = starts_at - id * interval '2 minutes', ends_at = now()
          WHERE account_id = $1 AND ends_at > now()`,
          [user.userId],
        );
      expect(await initialize(user, 'first', { estimatedTokens })).toMatchObject({ status: 201 });
      for (const [n, minutes] of [1, 2].entries()) {
        await endMinute();
        expect(await initialize(user, `later-${n}`)).toMatchObject({ status: 201 });
        const report = { sessionId: 'first', tokensGenerated: minutes * 50_000 };
        expect(await user.post('/api/streaming-sessions/progress', report)).toMatchObject({
          status: 200,
          body: { shouldStop: true, reason: 'budget.exceeded', allocatedCredits: 10 },
        });
      }
      // What nothing counts in any more goes when the next period begins.
      for (const sessionId of ['first', 'later-0', 'later-1'])
        await user.post('/api/streaming-sessions/abort', { sessionId });
      await endMinute();
      expect(await initialize(user, 'last')).toMatchObject({ status: 201 });
      const { rowCount } = await service.owner.query('SELECT FROM budget_periods WHERE budget_id = $1', [
        made.body.id,
      ]);
      expect(rowCount).toBe(1);
    },
  );

  it('a unit that moves counts for its new place with what begins afterwards', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const [red, blue] = await Promise.all([acme.unit('red'), acme.unit('blue')]);
    const team = await acme.unit('team', red);
    const user = await acme.member('member', { unitId: team });
    const [ofRed, ofBlue] = await Promise.all(
      [red, blue].map((unit) =>
        acme.budget({ scope: 'unit', scopeId: String(unit), unit: 'requests', window: 'day', amount: 10 }),
      ),
    );
    await acme.start(user, 'a');
    expect((await patch(acme.owner, `${acme.path}/units/${team}`, { parentId: blue })).status).toBe(200);
    await acme.start(user, 'b');
    await acme.finalize(user, 'a', 10);
    expect(await budgetOf(acme.owner, acme.id, ofRed as number)).toMatchObject({ used: 1, held: 0 });
    expect(await budgetOf(acme.owner, acme.id, ofBlue as number)).toMatchObject({ used: 0, held: 1 });
  });

  it('of each member says limit.reached again only to the member who was raised', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const members = [await acme.member('member'), await acme.member('member')] as const;
    const id = await acme.budget({
      scope: 'each_member',
      unit: 'requests',
      window: 'day',
      amount: 1,
      alerts: [50],
    });
    const charge = (user: HttpClient, requestId: string) =>
      user.post('/api/usage/charge', { accountId: acme.id, requestId, modelId: SONNET, tokens: 10 });
    const reached = async () =>
      (await eventsOf(service, acme.id))
        .filter(([type]) => type === 'limit.reached')
        .map(([, data]) => (data as { userId: string }).userId);
    for (const [n, user] of members.entries()) {
      expect((await charge(user, `a${n}`)).status).toBe(201);
      expect((await charge(user, `b${n}`)).status).toBe(429);
    }
    const [bob, carol] = members;
    const raise = { accountId: acme.id, memberId: bob.userId, amount: 1, reason: 'more' };
    expect((await acme.owner.post(`/api/budgets/${id}/raises`, raise)).status).toBe(201);
    expect((await charge(carol, 'c1')).status).toBe(429);
    expect((await charge(bob, 'c0')).status).toBe(201);
    expect((await charge(bob, 'd0')).status).toBe(429);
    expect(await reached()).toEqual([bob.userId, carol.userId, bob.userId]);
    // A change of the limit is for all of them.
    await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount: 2 });
    for (const user of members) {
      expect((await charge(user, `e-${user.userId}`)).status).toBe(201);
      expect((await charge(user, `f-${user.userId}`)).status).toBe(429);
    }
    expect(await reached()).toHaveLength(5);
    const types = (await eventsOf(service, acme.id)).map(([type]) => type);
    expect(types.filter((type) => type === 'budget.exhausted')).toHaveLength(5);
    // One for the raise, and one for the change, which is for all.
    const recovered = (await eventsOf(service, acme.id)).filter(([type]) => type === 'budget.recovered');
    expect(recovered.map(([, data]) => (data as { userId: string | null }).userId)).toEqual([
      bob.userId,
      null,
    ]);
  });

  it('of each member emits one event for a change of its limit, however many members have crossed it', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const members = await Promise.all(Array.from({ length: 3 }, () => acme.member('member')));
    const alerts = [10, 50, 90];
    const id = await acme.budget({
      scope: 'each_member',
      unit: 'credits',
      window: 'day',
      amount: 100,
      alerts,
    });
    const charge = (user: HttpClient, requestId: string, credits: number) =>
      user.post('/api/usage/charge', {
        ...{ accountId: acme.id, requestId, modelId: SONNET, tokens: (credits * 1000) / 3 },
      });
    for (const [n, user] of members.entries())
      expect((await charge(user, 'first', 3 * (n + 1))).status).toBe(201);
    const after = async (amount: number) => {
      const before = (await eventsOf(service, acme.id)).length;
      const changed = await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount });
      expect(changed.status, changed.text).toBe(200);
      return (await eventsOf(service, acme.id)).slice(before);
    };
    expect(await after(11)).toMatchObject([
      ['budget.threshold', { userId: null, percent: 50, used: 9, limit: 11 }],
    ]);
    expect(await after(5)).toMatchObject([['budget.exhausted', { userId: null, limit: 5 }]]);
    expect(await after(4)).toEqual([]);
    expect(await after(7)).toMatchObject([['budget.recovered', { userId: null, used: 6, limit: 7 }]]);
    expect(await after(8)).toEqual([]);
    // Each member’s own crossings are found from there.
    expect((await charge(members[0] as HttpClient, 'more', 3)).status).toBe(201);
    expect((await eventsOf(service, acme.id)).at(-1)).toMatchObject([
      ...['budget.threshold', { userId: members[0]?.userId, percent: 50, used: 6 }],
    ]);
  });

  it('what waits for a review counts when it is billed, in the period of its call; a repair sets what is wrong', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 2 });
    const charged = await acme.owner.post<{ record: { id: number } }>('/api/usage/charge', {
      ...{ requestId: 'r', accountId: acme.id, modelId: SONNET, tokens: 1000, onInsufficient: 'review' },
    });
    expect(charged).toMatchObject({ status: 201, body: { record: { billingStatus: 'needs_review' } } });
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ used: 0 });
    await endPeriods(acme.id);
    const root = service.as('root', { role: 'admin' });
    const decision = { action: 'bill', version: 1 };
    expect((await root.post(`/api/usage/records/${charged.body.record.id}/review`, decision)).status).toBe(
      200,
    );
    const periods = async () =>
      (await acme.owner.get<{ items: object[] }>(`/api/budgets/${id}/periods?accountId=${acme.id}`)).body
        .items;
    expect(await periods()).toMatchObject([{ used: 3 }]);
    await service.owner.query('UPDATE budget_periods SET used = 7, held = 1 WHERE account_id = $1', [
      acme.id,
    ]);
    await service.owner.query(
      `SELECT credit_repair($1, jsonb_build_object('accountId', $1::varchar, 'actor', 'root'))`,
      [acme.id],
    );
    expect(await periods()).toMatchObject([{ used: 3, held: 0 }]);
  });

  it('a call that costs nothing is billed also where a budget is exceeded, and waits for no review', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 10 });
    const charge = (requestId: string, tokens: number, onInsufficient: string) =>
      acme.owner.post('/api/usage/charge', {
        ...{ requestId, accountId: acme.id, modelId: SONNET, tokens, onInsufficient },
      });
    await charge('a', 2000, 'reject');
    await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount: 1 });
    for (const onInsufficient of ['review', 'reject'])
      expect(await charge(onInsufficient, 0, onInsufficient)).toMatchObject({
        status: 201,
        body: { record: { credits: 0, billingStatus: 'billed' } },
      });
    expect(await charge('c', 1, 'review')).toMatchObject({
      body: { record: { credits: 1, billingStatus: 'needs_review', uncollectedCredits: 1 } },
    });
  });

  it.each([
    ['scope', { scope: 'planet' }],
    ['unit', { unit: 'cows' }],
    ['window', { window: 'fortnight' }],
    ['window', { unit: 'sessions', window: 'day' }],
    ['window', { window: undefined }],
    ['amount', { amount: -1 }],
    ['scopeId', { scope: 'unit', scopeId: '999999' }],
    ['scopeId', { scope: 'member', scopeId: 'nobody-here' }],
    ['scopeId', { scope: 'key', scopeId: '999999' }],
    ['scopeId', { scope: 'tag', scopeId: 'search' }],
    ['scopeId', { scopeId: 'x' }],
    ['timeZone', { timeZone: 'Mars/Olympus' }],
    ['timeZone', { timeZone: 'IST' }],
    ['timeZone', { timeZone: '+05:30' }],
    ['anchorDay', { anchorDay: 32 }],
    ['alerts', { alerts: [0] }],
  ])('4xx names the field: %s', async (field, change) => {
    const user = await userWithCredits(service, 1);
    const answer = await user.post('/api/budgets', {
      scope: 'account',
      unit: 'credits',
      window: 'day',
      amount: 1,
      ...change,
    });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect((answer.body.errors as { field: string }[])[0]?.field).toBe(field);
  });
});

describe('events', () => {
  it('come once for each crossing, and limit.reached once in a period', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = await acme.budget({
      scope: 'account',
      unit: 'credits',
      window: 'day',
      amount: 10,
      alerts: [50, 80],
    });
    const charge = (requestId: string, tokens: number) =>
      acme.owner.post('/api/usage/charge', { requestId, accountId: acme.id, modelId: SONNET, tokens });
    await charge('a', 1000);
    await charge('b', 1000);
    await charge('c', 3000);
    await charge('d', 3000);
    await charge('e', 1000);
    await charge('f', 200);
    const seen = async () =>
      (await eventsOf(service, acme.id))
        .filter(([type]) => type.startsWith('budget') || type.startsWith('limit'))
        .map(([type, data]) => [
          type,
          (data as { percent?: number }).percent ?? (data as { used: number }).used,
        ]);
    expect(await seen()).toEqual([
      ['budget.threshold', 50],
      ['limit.reached', 6],
      ['budget.threshold', 80],
      ['budget.exhausted', 10],
    ]);
    await acme.owner.post(`/api/budgets/${id}/raises`, { accountId: acme.id, amount: 10, reason: 'r' });
    expect((await seen()).slice(4)).toEqual([['budget.recovered', 10]]);
  });

  /** An account with a budget of credits, or none, and what its events say. */
  async function watched(budget?: object) {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const id = budget === undefined ? 0 : await acme.budget({ scope: 'account', unit: 'credits', ...budget });
    let calls = 0;
    return {
      acme,
      id,
      /** 3 credits for each 1,000 tokens. */
      charge: async (credits: number, client = acme.owner) =>
        (
          await client.post('/api/usage/charge', {
            ...{
              requestId: `c${calls++}`,
              accountId: acme.id,
              modelId: SONNET,
              tokens: (credits * 1000) / 3,
            },
          })
        ).status,
      seen: async () =>
        (await eventsOf(service, acme.id))
          .filter(([type]) => type.startsWith('budget'))
          .map(([type, data]) => [type, (data as { percent?: number }).percent].join(' ').trim()),
    };
  }

  it('come for what a smaller limit has passed', async () => {
    const { acme, id, charge, seen } = await watched({ window: 'day', amount: 100, alerts: [50, 80] });
    expect(await charge(39)).toBe(201);
    for (const amount of [90, 60, 55, 45, 30, 90]) {
      expect((await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount })).status).toBe(
        200,
      );
    }
    expect(await seen()).toEqual([
      ...['budget.threshold 50', 'budget.threshold 80', 'budget.exhausted', 'budget.recovered'],
    ]);
  });

  it('come for at most 60 changes a minute by the account itself; supervisors are not counted', async () => {
    const user = await userWithCredits(service, 10);
    const { body } = await user.post<{ id: number }>('/api/budgets', {
      ...{ scope: 'account', unit: 'credits', window: 'day', amount: 100 },
    });
    const change = (client: HttpClient, n: number) =>
      n % 2 === 0
        ? patch(client, `/api/budgets/${body.id}?accountId=${user.userId}`, { amount: 100 + n })
        : client.post(`/api/budgets/${body.id}/raises?accountId=${user.userId}`, { amount: 1, reason: 'r' });
    for (let n = 1; n < 60; n++) expect((await change(user, n)).status).toBeLessThan(300);
    for (const n of [60, 61]) expectProblem(await change(user, n), 429, { code: 'rate_limit.exceeded' });
    const again = { scope: 'account', unit: 'tokens', window: 'day', amount: 100 };
    expectProblem(await user.post('/api/budgets', again), 429, { code: 'rate_limit.exceeded' });
    const removal = await user.delete(`/api/budgets/${body.id}`);
    expectProblem(removal, 429, { code: 'rate_limit.exceeded' });
    expect((await change(service.as('boss', { role: 'supervisor' }), 62)).status).toBe(200);
  });

  it('come when a raise has ended, with the next call', async () => {
    const { acme, id, charge, seen } = await watched({ window: 'day', amount: 12 });
    const until = '2999-01-01T00:00:00Z';
    const raise = { accountId: acme.id, amount: 12, reason: 'r', until };
    expect((await acme.owner.post(`/api/budgets/${id}/raises`, raise)).status).toBe(201);
    expect(await charge(18)).toBe(201);
    await endRaises(acme.id);
    expect(await seen()).toEqual([]);
    expect(await charge(3)).toBe(402);
    expect(await charge(3)).toBe(402);
    expect(await seen()).toEqual(['budget.exhausted']);
  });

  it.each(['hard', 'soft'])('come for what is used after a raise has ended: %s', async (mode) => {
    const budget = { window: 'day', amount: 99, alerts: [50, 80, 90], mode };
    const { acme, id, charge, seen } = await watched(budget);
    const raise = { accountId: acme.id, amount: 100, reason: 'r' };
    for (const until of ['2998-01-01T00:00:00Z', '2999-01-01T00:00:00Z'])
      await acme.owner.post(`/api/budgets/${id}/raises`, { ...raise, until });
    expect(await charge(69)).toBe(201);
    await endRaises(acme.id);
    expect(await seen()).toEqual([]);
    for (const credits of [6, 9]) expect(await charge(credits)).toBe(201);
    expect(await seen()).toEqual(['budget.threshold 50', 'budget.threshold 80']);
    expect(await charge(15)).toBe(201);
    expect((await seen()).slice(2)).toEqual(['budget.threshold 90', 'budget.exhausted']);
    expect(await charge(3)).toBe(mode === 'hard' ? 402 : 201);
    expect(await budgetOf(acme.owner, acme.id, id)).toMatchObject({ limit: 99, left: 0 });
  });

  it('come for what a raise that has ended and then a smaller limit have passed', async () => {
    const { acme, id, charge, seen } = await watched({ window: 'day', amount: 100, alerts: [50, 80] });
    const until = '2999-01-01T00:00:00Z';
    const raise = { accountId: acme.id, amount: 100, reason: 'r', until };
    expect((await acme.owner.post(`/api/budgets/${id}/raises`, raise)).status).toBe(201);
    expect(await charge(75)).toBe(201);
    await endRaises(acme.id);
    await patch(acme.owner, `/api/budgets/${id}`, { accountId: acme.id, amount: 90 });
    expect(await seen()).toEqual(['budget.threshold 50', 'budget.threshold 80']);
  });

  it('are not emitted for a period that is over', async () => {
    const { acme, charge, seen } = await watched({ window: 'day', amount: 12, alerts: [50] });
    await acme.start(acme.owner, 's');
    await endPeriods(acme.id);
    expect(await charge(3)).toBe(201);
    expect((await acme.finalize(acme.owner, 's', 6000)).body).toMatchObject({ overrun: [{ by: 6 }] });
    expect(await seen()).toEqual([]);
    expect(await charge(9)).toBe(201);
    expect(await seen()).toEqual(['budget.threshold 50', 'budget.exhausted']);
    await endPeriods(acme.id);
    expect(await charge(3)).toBe(201);
    expect((await seen()).slice(2)).toEqual(['budget.recovered']);
  });

  it('come with the limit of an API key, which is changed with the key alone', async () => {
    const { acme, charge, seen } = await watched();
    const made = await acme.owner.post<{ id: number; key: string }>('/api/api-keys', {
      ...{ name: 'k', accountId: acme.id, permissions: ['usage:write'] },
    });
    const client = service.withHeaders({ 'x-api-key': made.body.key });
    const limit = async (creditLimit: number | null) => {
      const path = `/api/api-keys/${made.body.id}?accountId=${acme.id}`;
      expect((await patch(acme.owner, path, { creditLimit })).status).toBe(200);
    };
    expect(await charge(3, client)).toBe(201);
    await limit(9);
    expect(await charge(6, client)).toBe(201);
    expect(await charge(3, client)).toBe(402);
    expect(await seen()).toEqual(['budget.exhausted']);
    await limit(100);
    expect(await charge(3, client)).toBe(201);
    await limit(12);
    await limit(null);
    expect((await seen()).slice(1)).toEqual(['budget.recovered', 'budget.exhausted', 'budget.recovered']);
    const list = await acme.owner.get<{ items: { id: number }[] }>(`/api/budgets?accountId=${acme.id}`);
    const path = `/api/budgets/${list.body.items[0]?.id}`;
    const raise = { accountId: acme.id, amount: 1, reason: 'r' };
    for (const refused of [
      await patch(acme.owner, path, { accountId: acme.id, amount: 1 }),
      await acme.owner.post(`${path}/raises`, raise),
      await acme.owner.delete(`${path}?accountId=${acme.id}`),
    ]) {
      expect(refused).toMatchObject({ status: 409, body: { code: 'budget.of_key' } });
    }
  });
});
