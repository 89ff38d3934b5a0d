// @module-tag one-by-one
// @module-tag pooler
// @module-tag two-instances
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import {
  balanceOf,
  countByStatus,
  expectSoundBooks,
  initialize,
  times,
  userWithCredits,
} from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

describe('sessions under concurrency', () => {
  it('sells credit for exactly 50 sessions to 300 parallel initializes', async () => {
    const user = await userWithCredits(service, 77, 123);
    const answers = await times(300, (index) => initialize(user, `s${index}`));
    expect(countByStatus(answers)).toEqual({ 201: 50, 402: 250 });
    const balance = await balanceOf(user);
    expect(balance).toMatchObject({ totalCredits: 0, heldCredits: 200 });
    const active = await user.get<unknown[]>('/api/streaming-sessions/active');
    expect(active.body).toHaveLength(50);
    const ledger = await service.owner.query(
      `SELECT count(*) FILTER (WHERE kind = 'hold') AS holds, sum(credits) AS left_over, min(balance_after) AS low
         FROM credit_ledger WHERE account_id = $1`,
      [user.userId],
    );
    expect(Number(ledger.rows[0].left_over)).toBe(0);
    expect(Number(ledger.rows[0].low)).toBe(0);
    await expectSoundBooks(service);
  });

  it('charges once and answers the same to 50 parallel finalizes of one session', async () => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 's');
    const answers = await times(50, () =>
      user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 700 }),
    );
    expect(countByStatus(answers)).toEqual({ 200: 50 });
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 97, heldCredits: 0 });
    const stats = await user.get('/api/usage/stats');
    expect(stats.body).toMatchObject({ totalRecords: 1, totalCredits: 3 });
    await expectSoundBooks(service);
  });

  it('starts one session for 30 parallel identical initializes', async () => {
    const user = await userWithCredits(service, 100);
    const answers = await times(30, () => initialize(user, 'same'));
    expect(countByStatus(answers)).toEqual({ 200: 29, 201: 1 });
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 96, heldCredits: 4 });
  });

  it('settles once when abort races finalize, and answers only 200 or 409', async () => {
    const user = await userWithCredits(service, 1000);
    await times(40, async (index) => {
      const sessionId = `race-${index}`;
      await initialize(user, sessionId);
      const answers = await Promise.all([
        user.post('/api/streaming-sessions/abort', { sessionId, tokensGenerated: 100 }),
        user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 700 }),
      ]);
      expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
    });
    expect((await balanceOf(user)).heldCredits).toBe(0);
    await expectSoundBooks(service);
  });

  it('settles once when the sweeper races finalize, also from two instances', async () => {
    const user = await userWithCredits(service, 1000);
    const second = await service.another();
    const ids = Array.from({ length: 40 }, (_, index) => `stale-${index}`);
    await Promise.all(ids.map((id) => initialize(user, id)));
    await Promise.all(
      ids.map((sessionId) =>
        user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 400 }),
      ),
    );
    await service.owner.query(
      `UPDATE streaming_sessions SET expires_at = now() - interval '1 second' WHERE account_id = $1`,
      [user.userId],
    );
    const [, , ...answers] = await Promise.all([
      service.get(StreamingSessionsSweeper).sweep(),
      second.get(StreamingSessionsSweeper).sweep(),
      ...ids.map((sessionId) =>
        user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 700 }),
      ),
    ]);
    expect(countByStatus(answers)).toEqual({ 200: 40 });
    expect(answers.every((answer) => answer.body.actualCredits === 3 && answer.body.late === true)).toBe(
      true,
    );
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 1000 - 40 * 3, heldCredits: 0 });
    expect((await user.get('/api/usage/stats')).body).toMatchObject({
      totalRecords: 40,
      totalCredits: 120,
      byService: { 'chat-streaming': 120 },
    });
    await expectSoundBooks(service);
    await second.close();
  });

  it('loses nothing when initialize races allocate, deduct and revoke', async () => {
    const user = await userWithCredits(service, 50);
    const root = service.as('root', { role: 'admin' });
    const lot = (
      await root.post<{ id: number }>('/api/credits/allocate', { userId: user.userId, credits: 60 })
    ).body.id;
    const answers = await Promise.all([
      ...Array.from({ length: 60 }, (_, index) => initialize(user, `m${index}`)),
      ...Array.from({ length: 20 }, () =>
        root.post('/api/credits/allocate', { userId: user.userId, credits: 10 }),
      ),
      ...Array.from({ length: 20 }, () =>
        root.post('/api/credits/deduct', { userId: user.userId, credits: 7, notes: 'race' }),
      ),
      root.post(`/api/credits/allocations/${lot}/revoke`),
    ]);
    expect(Object.keys(countByStatus(answers)).sort()).toEqual(['200', '201', '402']);
    const started = (await user.get<{ sessionId: string }[]>('/api/streaming-sessions/active')).body;
    await Promise.all(
      started.map(({ sessionId }) =>
        user.post('/api/streaming-sessions/abort', { sessionId, tokensGenerated: 0 }),
      ),
    );
    const balance = await balanceOf(user);
    const deducted = answers.slice(80, 100).filter((answer) => answer.status === 200).length * 7;
    const revoked = await service.owner.query(
      `SELECT coalesce(-sum(credits), 0) AS credits FROM credit_ledger WHERE account_id = $1 AND kind = 'revocation'`,
      [user.userId],
    );
    expect(balance.heldCredits).toBe(0);
    expect(balance.totalCredits).toBe(50 + 60 + 200 - deducted - Number(revoked.rows[0].credits));
    await expectSoundBooks(service);
  });

  it('prices every one of many parallel sessions by the rule that was in force when it began', async () => {
    const root = service.as('root', { role: 'admin' });
    const user = await userWithCredits(service, 100_000);
    const model = { modelId: 'race/model' };
    await root.post('/api/pricing', { ...model, pricePerThousandTokens: '10' });
    const before = await initialize(user, 'before', model);
    const [, ...during] = await Promise.all([
      root.post('/api/pricing', { ...model, pricePerThousandTokens: '20' }),
      ...Array.from({ length: 20 }, (_, index) => initialize(user, `during-${index}`, model)),
    ]);
    expect(before.body.estimatedCredits).toBe(10);
    expect(during.every((answer) => [10, 20].includes(answer.body.estimatedCredits as number))).toBe(true);
    const settled = await user.post('/api/streaming-sessions/finalize', {
      sessionId: 'before',
      actualTokens: 1000,
    });
    expect(settled.body.actualCredits).toBe(10);
    expect((await initialize(user, 'after', model)).body.estimatedCredits).toBe(20);
  });
});
