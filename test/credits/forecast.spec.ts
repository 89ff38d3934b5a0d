import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { endLeases, expireLots, initialize, SONNET, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';

let service: TestService;
let boss: HttpClient;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  boss = service.as('boss', { role: 'supervisor' });
  root = service.as('root', { role: 'admin' });
});
afterAll(() => service.close());

interface Forecast {
  userId: string;
  windowDays: number;
  creditsPerDay: number;
  availableCredits: number;
  runsOutAt: string | null;
  expiringUnusedCredits: number;
  expirations: { allocationId: number; credits: number; unusedCredits: number; expiresAt: string }[];
}

const DAY = 86_400_000;

async function forecastOf(user: HttpClient, query = ''): Promise<Forecast> {
  const answer = await user.get<Forecast>(`/api/credits/forecast${query}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

/** 3 credits for each 1,000 tokens. */
async function charge(user: HttpClient, credits: number, more: object = {}): Promise<number> {
  const requestId = freshUser('call');
  const tokens = Math.floor((credits * 1000) / 3);
  const answer = await user.post<{ record: { id: number } }>('/api/usage/charge', {
    requestId,
    modelId: SONNET,
    tokens,
    ...more,
  });
  expect(answer.status).toBe(201);
  return answer.body.record.id;
}

/** Moves all of a user's use into the past, as if it had been then; the roll-up with it. */
async function back(user: HttpClient, days: number): Promise<void> {
  await service.owner.query(
    `UPDATE usage_records SET timestamp = timestamp - $2 * interval '1 day' WHERE account_id = $1`,
    [user.userId, days],
  );
  await service.owner.query('UPDATE usage_daily SET day = day - $2::integer WHERE account_id = $1', [
    user.userId,
    days,
  ]);
}

/** What the roll-up counts, and what the records say it should. */
async function chargedBy(user: HttpClient): Promise<{ counted: string; plain: string }> {
  const { rows } = await service.owner.query<{ counted: string; plain: string }>(
    `SELECT (SELECT coalesce(sum(charged_credits), 0) FROM usage_daily WHERE account_id = $1) AS counted,
            (SELECT coalesce(sum(credits - uncollected_credits) FILTER (WHERE billing_status <> 'recorded'), 0)
               FROM usage_records WHERE account_id = $1) AS plain`,
    [user.userId],
  );
  return rows[0] as { counted: string; plain: string };
}

describe('GET /api/credits/forecast', () => {
  it('begins with the first charge, whatever the names of the models of that day', async () => {
    const user = await userWithCredits(service, 1000);
    const [early, late] = [
      await charge(user, 90, { modelId: 'zz' }),
      await charge(user, 90, { modelId: 'aa' }),
    ];
    // Ten days ago, at one and at 23 o'clock.
    for (const [id, hour] of [
      [early, 1],
      [late, 23],
    ])
      await service.owner.query(
        `UPDATE usage_records
            SET timestamp = ((now() AT TIME ZONE 'UTC')::date - 10 + make_interval(hours => $2)) AT TIME ZONE 'UTC'
          WHERE id = $1`,
        [id, hour],
      );
    await service.owner.query('UPDATE usage_daily SET day = day - 10 WHERE account_id = $1', [user.userId]);
    const { rows } = await service.owner.query<{ days: number }>(
      `SELECT (extract(epoch FROM now() - timestamp) / 86400)::float8 AS days FROM usage_records WHERE id = $1`,
      [early],
    );
    const { creditsPerDay } = await forecastOf(user);
    expect(creditsPerDay * (rows[0]?.days ?? 0)).toBeCloseTo(Number((await chargedBy(user)).counted), 1);
  });

  it('without use has no end, and says what expires', async () => {
    const user = await userWithCredits(service, 100, 50);
    expect(await forecastOf(user)).toMatchObject({
      userId: user.userId,
      windowDays: 14,
      creditsPerDay: 0,
      availableCredits: 150,
      runsOutAt: null,
      expiringUnusedCredits: 150,
    });
  });

  it('takes a first day as one whole day', async () => {
    const user = await userWithCredits(service, 1000);
    await charge(user, 30);
    const found = await forecastOf(user);
    expect(found).toMatchObject({
      creditsPerDay: 30,
      availableCredits: 970,
      expiringUnusedCredits: 970 - 30 * 30 + 1,
    });
    expect(found.expirations).toHaveLength(1);
    expect(found.expirations[0]).toMatchObject({ credits: 970, unusedCredits: found.expiringUnusedCredits });
    expect(found.runsOutAt).toBe(found.expirations[0]?.expiresAt);
  });

  it('takes a new user’s rate over the time since the first use, and an older one’s over the window', async () => {
    const user = await userWithCredits(service, 100_000);
    await charge(user, 300);
    await back(user, 5);
    const { creditsPerDay } = await forecastOf(user);
    expect(creditsPerDay).toBeLessThanOrEqual(60);
    expect(creditsPerDay).toBeGreaterThan(59.9);
    // Use from before the window is no use of the window, but the user is not new any more.
    await back(user, 20);
    expect((await forecastOf(user)).creditsPerDay).toBe(0);
    await charge(user, 300);
    const elapsed = 14 + (Date.now() % DAY) / DAY;
    expect((await forecastOf(user)).creditsPerDay).toBeCloseTo(300 / elapsed, 1);
    expect((await forecastOf(user, '?windowDays=90')).creditsPerDay).toBeCloseTo(600 / 25, 1);
    expect((await forecastOf(user, '?windowDays=1')).creditsPerDay).toBeCloseTo(
      300 / (1 + (Date.now() % DAY) / DAY),
      1,
    );
  });

  it('counts what was taken, and not what was settled elsewhere, waived or never collected', async () => {
    const user = await userWithCredits(service, 1000);
    await user.post('/api/usage/record', { service: 'chat', operation: SONNET, credits: 500 });
    await charge(user, 60);
    const waived = await charge(user, 90, { billingStatus: 'needs_review' });
    const billed = await charge(user, 120, { billingStatus: 'needs_review' });
    expect((await forecastOf(user)).creditsPerDay).toBe(60);
    await root.post(`/api/usage/records/${waived}/review`, { action: 'waive', version: 1 });
    await root.post(`/api/usage/records/${billed}/review`, { action: 'bill', version: 1, credits: 12 });
    await root.post('/api/credits/deduct', { userId: user.userId, credits: 7, notes: 'no use' });
    expect((await forecastOf(user)).creditsPerDay).toBe(72);
  });

  it('takes what sessions hold for spent, and has them in the rate when they are settled', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's', { estimatedTokens: 100_000 });
    expect(await forecastOf(user)).toMatchObject({ creditsPerDay: 0, availableCredits: 640 });
    await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 50_000 });
    expect(await forecastOf(user)).toMatchObject({ creditsPerDay: 150, availableCredits: 850 });
  });

  it('has a late settlement once, with what it came to', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's', { estimatedTokens: 100_000 });
    await user.post('/api/streaming-sessions/progress', { sessionId: 's', tokensGenerated: 10_000 });
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    expect((await forecastOf(user)).creditsPerDay).toBe(30);
    await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 20_000 });
    expect((await forecastOf(user)).creditsPerDay).toBe(60);
  });

  it('does not count a lot that has expired, written off or not', async () => {
    const user = await userWithCredits(service, 100, 50);
    await expireLots(service, user, [50]);
    expect(await forecastOf(user)).toMatchObject({ availableCredits: 100, expirations: [{ credits: 100 }] });
  });

  it('counts every movement as the records do', async () => {
    const random = new SeededRandom();
    const user = await userWithCredits(service, 400);
    for (let step = 0; step < 60; step++) {
      const sessionId = `s${step}`;
      const kind = random.integer(0, 3);
      if (kind === 0) await user.post('/api/usage/record', { service: 'a', operation: 'b', credits: 5 });
      else if (kind === 1) {
        const id = await charge(user, random.integer(1, 30), { onInsufficient: 'review' });
        const action = random.pick(['bill', 'waive']);
        await root.post(`/api/usage/records/${id}/review`, { action, version: 1 });
      } else {
        await initialize(user, sessionId);
        if (random.chance(0.3)) {
          await endLeases(service, user);
          await service.get(StreamingSessionsSweeper).sweep();
        }
        const actualTokens = random.integer(0, 20_000);
        await user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens });
      }
    }
    const { counted, plain } = await chargedBy(user);
    expect(counted, `TEST_SEED=${random.seed}`).toBe(plain);
    expect(Number(counted)).toBeGreaterThan(0);
  });

  it.each(['0', '91', '1.5', 'x', ''])('refuses a window of "%s" days', async (days) => {
    const answer = await service.as().get<object>(`/api/credits/forecast?windowDays=${days}`);
    expectProblem(answer, 400, { field: 'windowDays' });
  });

  it('stays cheap for a user with 100,000 records in the window', async () => {
    const user = await userWithCredits(service, 1_000_000);
    await charge(user, 30);
    await service.owner.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, billing_status)
       SELECT $1::varchar, $1::varchar, now() - i * interval '12 seconds', 'chat', $2, 1, 'billed' FROM generate_series(1, 100000) i`,
      [user.userId, SONNET],
    );
    await service.owner.query(
      `INSERT INTO usage_daily (account_id, user_id, day, service, operation, records, credits, charged_credits)
       SELECT account_id, account_id, (timestamp AT TIME ZONE 'UTC')::date, service, operation, count(*), sum(credits), sum(credits)
         FROM usage_records WHERE account_id = $1 AND credits = 1 GROUP BY 1, 2, 3, 4, 5
       ON CONFLICT (account_id, day, user_id, unit_id, service, operation) DO UPDATE
         SET charged_credits = usage_daily.charged_credits + excluded.charged_credits`,
      [user.userId],
    );
    await service.owner.query('ANALYZE usage_records, usage_daily');
    const { FORECAST } = await import('../../src/credits/credits-forecast.service.js');
    const client = await service.owner.connect();
    try {
      await client.query('SET plan_cache_mode = force_generic_plan');
      await client.query(`PREPARE f (varchar, integer) AS ${FORECAST.text}`);
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE f ('${user.userId}', 14)`,
      );
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      const pages = [...plan.matchAll(/Buffers: shared hit=(\d+)(?: read=(\d+))?/g)];
      expect(pages.length, plan).toBeGreaterThan(0);
      // Of 100,000 records none but those of the user's first day may be read.
      const [, hit, read = 0] = pages[0] as RegExpMatchArray;
      expect(Number(hit) + Number(read), plan).toBeLessThan(300);
    } finally {
      client.release(true);
    }
  });
});

describe('GET /api/credits/forecast/:userId', () => {
  it('gives a supervisor what it gives the user', async () => {
    const user = await userWithCredits(service, 100);
    const { runsOutAt: _, ...own } = await forecastOf(user, '?windowDays=7');
    const answer = await boss.get<Forecast>(`/api/credits/forecast/${user.userId}?windowDays=7`);
    expect(answer.body).toMatchObject(own);
  });

  it('404 for a user never seen', async () => {
    expectProblem(await boss.get<object>(`/api/credits/forecast/${freshUser()}`), 404, {
      code: 'account.not_found',
    });
  });
});
