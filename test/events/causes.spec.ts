import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CreditsSweeper } from '../../src/credits/credits.sweeper.js';
import { EventsSweeper, LOTS } from '../../src/events/events.sweeper.js';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import { eventsOf, emittedFor } from '../support/events.js';
import type { HttpClient } from '../support/http-client.js';
import {
  countByStatus,
  endLeases,
  expectSoundBooks,
  expireLots,
  initialize,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService({ CREDITS_LOW_THRESHOLD: '100' });
  second = await service.another();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await second.close();
  await service.close();
});

let call = 0;
/** Costs one credit for each 333 tokens. */
const charge = (user: HttpClient, credits: number) =>
  user.post('/api/usage/charge', {
    requestId: `call-${call++}`,
    modelId: SONNET,
    tokens: Math.floor((credits * 1000) / 3),
  });
const typesOf = async (user: HttpClient) => (await emittedFor(service, user)).map(([type]) => type);
const deduct = (user: HttpClient, credits: number) =>
  service
    .as('root', { role: 'admin' })
    .post('/api/credits/deduct', { userId: user.userId, credits, notes: 'x' });
const allocate = (user: HttpClient, credits: number) =>
  service.as('boss', { role: 'supervisor' }).post('/api/credits/allocate', { userId: user.userId, credits });

describe('credits.low', () => {
  it('is emitted once when credits come down to the threshold, and again after they have been above it', async () => {
    const user = await userWithCredits(service, 150);
    await deduct(user, 49);
    expect(await emittedFor(service, user)).toEqual([]);
    await deduct(user, 1);
    const low = { credits: 100, availableCredits: 100, heldCredits: 0, threshold: 100 };
    expect(await emittedFor(service, user)).toEqual([['credits.low', low]]);
    await deduct(user, 10);
    await charge(user, 10);
    expect(await typesOf(user)).toEqual(['credits.low']);
    await allocate(user, 500);
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.recovered']);
    await deduct(user, 499);
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.recovered', 'credits.low']);
  });

  it('is emitted once by 50 spends at once over the threshold, on two instances', async () => {
    const user = await userWithCredits(service, 200);
    const elsewhere = user.at(second.url);
    const answers = await times(50, (n) => charge(n % 2 === 0 ? user : elsewhere, 3));
    expect(countByStatus(answers)).toEqual({ 201: 50 });
    expect(await typesOf(user)).toEqual(['credits.low']);
  });

  it('is not emitted by a hold and its refund: held credits are not gone', async () => {
    const user = await userWithCredits(service, 150);
    await initialize(user, 's', { estimatedTokens: 30_000 });
    await user.post('/api/streaming-sessions/abort', { sessionId: 's', tokensGenerated: 0 });
    expect(await typesOf(user)).toEqual([]);
    await initialize(user, 't', { estimatedTokens: 30_000 });
    await user.post('/api/streaming-sessions/finalize', { sessionId: 't', actualTokens: 20_000 });
    expect(await emittedFor(service, user)).toEqual([
      ['credits.low', { credits: 90, availableCredits: 90, heldCredits: 0, threshold: 100 }],
    ]);
  });

  it('follows the threshold of the user, which they and supervisors set', async () => {
    const user = await userWithCredits(service, 1000);
    const boss = service.as('boss', { role: 'supervisor' });
    const path = '/api/credits/low-threshold';
    expect((await user.get(path)).body).toEqual({ userId: user.userId, threshold: 100, isDefault: true });
    const put = (client: HttpClient, where: string, threshold: unknown) =>
      client.send<object>('PUT', where, { threshold }, {});
    const set = { userId: user.userId, threshold: 900, isDefault: false };
    expect((await put(boss, `${path}/${user.userId}`, 900)).body).toEqual(set);
    expect((await user.get(path)).body).toEqual(set);
    await deduct(user, 100);
    expect(await typesOf(user)).toEqual(['credits.low']);
    await put(user, path, 0);
    await deduct(user, 850);
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.recovered']);
    expect((await put(user, path, null)).body).toMatchObject({ threshold: 100, isDefault: true });
    expect((await put(user, path, -1)).status).toBe(400);
    expect((await put(boss, `${path}/unknown-user`, 1)).status).toBe(404);
  });

  it('is emitted once by a threshold that is set above the credits, and is over when it is set below them', async () => {
    const user = await userWithCredits(service, 1000);
    const put = async (threshold: number | null) => {
      const answer = await user.send<object>('PUT', '/api/credits/low-threshold', { threshold }, {});
      expect(answer.status).toBe(200);
    };
    await put(999);
    expect(await typesOf(user)).toEqual([]);
    for (const threshold of [1000, 1000, 5000]) await put(threshold);
    await deduct(user, 10);
    const facts = { credits: 1000, availableCredits: 1000, heldCredits: 0 };
    expect(await emittedFor(service, user)).toEqual([['credits.low', { ...facts, threshold: 1000 }]]);
    await put(null);
    await put(500);
    const after = { credits: 990, availableCredits: 990, heldCredits: 0, threshold: 100, isLow: false };
    expect((await emittedFor(service, user)).slice(1)).toEqual([['credits.recovered', after]]);
    await put(990);
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.recovered', 'credits.low']);
  });

  it('is emitted a few times at most by a threshold that is raised and lowered in turn', async () => {
    const user = await userWithCredits(service, 1000);
    const answers = await times(50, (n) =>
      user.send<Record<string, unknown>>(
        'PUT',
        '/api/credits/low-threshold',
        { threshold: n % 2 === 0 ? 5000 : 1 },
        {},
      ),
    );
    expect(countByStatus(answers)).toEqual({ 200: 10, 429: 40 });
    expect(answers.find(({ status }) => status === 429)?.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await typesOf(user)).length).toBeLessThanOrEqual(10);
  });

  it('is not over for a user without any credits, whatever the threshold, until there are credits again', async () => {
    const user = await userWithCredits(service);
    const put = (threshold: number) =>
      user.send<object>('PUT', '/api/credits/low-threshold', { threshold }, {});
    for (const threshold of [500, 0]) expect((await put(threshold)).status).toBe(200);
    expect(await typesOf(user)).toEqual(['credits.low']);
    await allocate(user, 1);
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.recovered']);
  });

  it('follows the new setting as soon as an instance has started with it', async () => {
    const user = await userWithCredits(service, 1000);
    const next = await service.another({ CREDITS_LOW_THRESHOLD: '800' });
    await charge(user.at(next.url), 250);
    await next.close();
    expect(await emittedFor(service, user)).toEqual([
      ['credits.low', { credits: 750, availableCredits: 750, heldCredits: 0, threshold: 800 }],
    ]);
  });
});

describe('credits.exhausted', () => {
  it('is emitted when nothing is left, after credits.low, and each time anew', async () => {
    const user = await userWithCredits(service, 150);
    await deduct(user, 150);
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.exhausted']);
    await allocate(user, 10);
    await deduct(user, 10);
    expect((await typesOf(user)).slice(2)).toEqual(['credits.recovered', 'credits.exhausted']);
  });

  it('is emitted once by 50 spends at once of which the last ones are refused', async () => {
    const user = await userWithCredits(service, 90);
    const answers = await times(50, () => charge(user, 3));
    expect(countByStatus(answers)).toEqual({ 201: 30, 402: 20 });
    expect(await typesOf(user)).toEqual(['credits.exhausted']);
  });

  it('is emitted when the last lot has expired', async () => {
    const user = await userWithCredits(service, 60);
    await expireLots(service, user, [60]);
    await service.get(CreditsSweeper).sweep();
    expect(await typesOf(user)).toEqual(['credits.expired', 'credits.exhausted']);
  });
});

describe('credits.recovered', () => {
  it('is emitted once when credits are above the threshold again, and never without an event before', async () => {
    const user = await userWithCredits(service, 50, 60);
    expect(await typesOf(user)).toEqual([]);
    await deduct(user, 30);
    await allocate(user, 20);
    await allocate(user, 1);
    await allocate(user, 500);
    expect(await emittedFor(service, user)).toEqual([
      ['credits.low', { credits: 80, availableCredits: 80, heldCredits: 0, threshold: 100 }],
      [
        'credits.recovered',
        { credits: 101, availableCredits: 101, heldCredits: 0, threshold: 100, isLow: false },
      ],
    ]);
    // Below the threshold from the beginning: nothing came down, so nothing recovers.
    const poor = await userWithCredits(service, 10, 20, 700);
    expect(await typesOf(poor)).toEqual([]);
    // Nor by a repair of a balance that said too little.
    const few = await userWithCredits(service, 50);
    await service.owner.query('UPDATE credit_balances SET available = 10 WHERE account_id = $1', [
      few.userId,
    ]);
    await service.owner.query('SELECT credit_repair($1, $2)', [
      few.userId,
      { accountId: few.userId, actor: 'root' },
    ]);
    expect(await typesOf(few)).toEqual([]);
  });

  it('says when credits are there again and still low, and then when they are not', async () => {
    const user = await userWithCredits(service, 150);
    await deduct(user, 150);
    for (const credits of [40, 20, 200]) await allocate(user, credits);
    const emitted = (await emittedFor(service, user)).slice(2);
    expect(emitted.map(([type, { credits, isLow }]) => [type, credits, isLow])).toEqual([
      ['credits.recovered', 40, true],
      ['credits.recovered', 260, false],
    ]);
  });

  it('is emitted once by many allocations at once, on two instances', async () => {
    const user = await userWithCredits(service, 150);
    await deduct(user, 150);
    const answers = await times(20, (n) =>
      (n % 2 === 0 ? service : second)
        .as('boss', { role: 'supervisor' })
        .post('/api/credits/allocate', { userId: user.userId, credits: 150 }),
    );
    expect(countByStatus(answers)).toEqual({ 201: 20 });
    expect(await typesOf(user)).toEqual(['credits.low', 'credits.exhausted', 'credits.recovered']);
  });

  it('is emitted by a late finalize that gives credits back, and not by a hold and its refund', async () => {
    const user = await userWithCredits(service, 110);
    await initialize(user, 'late', { estimatedTokens: 30_000 });
    await user.post('/api/streaming-sessions/progress', { sessionId: 'late', tokensGenerated: 30_000 });
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    expect(await typesOf(user)).toEqual(['credits.low', 'session.timed_out']);
    await initialize(user, 'next', { estimatedTokens: 1000 });
    await user.post('/api/streaming-sessions/abort', { sessionId: 'next', tokensGenerated: 0 });
    expect((await typesOf(user)).length).toBe(2);
    await user.post('/api/streaming-sessions/finalize', { sessionId: 'late', actualTokens: 1000 });
    expect((await emittedFor(service, user)).slice(2)).toEqual([
      ['credits.recovered', expect.objectContaining({ credits: 107, isLow: false })],
    ]);
  });

  it('is emitted when the credits that were there before have expired in the same movement', async () => {
    const user = await userWithCredits(service, 60);
    await expireLots(service, user, [60]);
    await allocate(user, 300);
    expect(await typesOf(user)).toEqual(['credits.expired', 'credits.exhausted', 'credits.recovered']);
  });
});

describe('credits.expired', () => {
  it('says once of each lot what was left of it, on whichever instance notices', async () => {
    const user = await userWithCredits(service, 400, 300, 500);
    await deduct(user, 150);
    await expireLots(service, user, [400, 300]);
    await Promise.all([
      service.get(CreditsSweeper).sweep(),
      second.get(CreditsSweeper).sweep(),
      charge(user, 3),
    ]);
    const emitted = await emittedFor(service, user);
    expect(emitted).toEqual([
      ['credits.expired', expect.objectContaining({ credits: 250, totalCredits: 400 })],
      ['credits.expired', expect.objectContaining({ credits: 300, totalCredits: 300 })],
    ]);
    expect(Object.keys(emitted[0]?.[1] ?? {}).sort()).toEqual([
      'allocationId',
      'credits',
      'expiresAt',
      'totalCredits',
    ]);
  });

  it('is not emitted for a lot that was spent', async () => {
    const user = await userWithCredits(service, 400, 500);
    await deduct(user, 400);
    await service.owner.query(
      `UPDATE credit_allocations SET expires_at = now() - interval '1 second' WHERE account_id = $1 AND total_credits = 400`,
      [user.userId],
    );
    await service.get(CreditsSweeper).sweep();
    await charge(user, 3);
    expect(await typesOf(user)).toEqual([]);
  });

  it('includes what a session returns to a lot that has expired meanwhile, and not to one that was revoked', async () => {
    const user = await userWithCredits(service, 200, 300);
    await initialize(user, 's', { estimatedTokens: 10_000 });
    await expireLots(service, user, [200]);
    await service.get(CreditsSweeper).sweep();
    await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 2000 });
    const credits = (await emittedFor(service, user)).map(([type, data]) => [type, data.credits]);
    expect(credits).toEqual([
      ['credits.expired', 164],
      ['credits.expired', 30],
    ]);
    const other = await userWithCredits(service, 200);
    await initialize(other, 's', { estimatedTokens: 10_000 });
    const { body } = await other.get<{ activeAllocations: { id: number }[] }>('/api/credits/balance');
    const lot = body.activeAllocations[0]?.id;
    const revoked = await service
      .as('root', { role: 'admin' })
      .post(`/api/credits/allocations/${lot}/revoke`, { notes: 'x' });
    expect(revoked.status, revoked.text).toBe(200);
    await other.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 2000 });
    expect(await typesOf(other)).not.toContain('credits.expired');
  });
});

describe('a movement that is rolled back', () => {
  it('leaves no event', async () => {
    const user = await userWithCredits(service, 150);
    const owner = await service.owner.connect();
    await owner.query('BEGIN');
    await owner.query('SELECT credit_deduct($1, $2)', [
      user.userId,
      { accountId: user.userId, credits: 150, notes: 'x', actor: 'root' },
    ]);
    const { rows } = await owner.query('SELECT type FROM event_outbox WHERE account_id = $1', [user.userId]);
    await owner.query('ROLLBACK');
    owner.release();
    expect(rows).toEqual([{ type: 'credits.exhausted' }]);
    expect((await charge(user, 400)).status).toBe(402);
    expect(await typesOf(user)).toEqual([]);
  });
});

describe('credits.expiring', () => {
  const expiresIn = (user: HttpClient, total: number, interval: string) =>
    service.owner.query(
      `UPDATE credit_allocations SET expires_at = now() + $3::interval WHERE account_id = $1 AND total_credits = $2`,
      [user.userId, total, interval],
    );

  it('is emitted once for each lot that expires within the days, by whichever instance looks', async () => {
    const user = await userWithCredits(service, 200, 300, 400);
    await expiresIn(user, 200, '71 hours');
    await expiresIn(user, 300, '73 hours');
    await expiresIn(user, 400, '10 minutes');
    await deduct(user, 150);
    await times(6, (n) => (n % 2 === 0 ? service : second).get(EventsSweeper).sweep());
    await service.get(EventsSweeper).sweep();
    const emitted = (await emittedFor(service, user)).filter(([type]) => type === 'credits.expiring');
    // Two instances may each have one of them, and then either may be first.
    expect(emitted).toHaveLength(2);
    expect(emitted.map(([, data]) => data)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ credits: 250, totalCredits: 400 }),
        expect.objectContaining({ credits: 200, totalCredits: 200 }),
      ]),
    );
    expect(Object.keys(emitted[0]?.[1] ?? {}).sort()).toEqual([
      'allocationId',
      'credits',
      'expiresAt',
      'totalCredits',
    ]);
  });

  it('says nothing of empty lots, nor when it is switched off', async () => {
    const user = await userWithCredits(service, 300);
    await expiresIn(user, 300, '1 day');
    const silent = await service.another({ CREDITS_EXPIRING_DAYS: '0', API_KEYS_EXPIRING_DAYS: '0' });
    await silent.get(EventsSweeper).sweep();
    await silent.close();
    expect(await typesOf(user)).toEqual([]);
    await deduct(user, 300);
    await service.get(EventsSweeper).sweep();
    expect(await typesOf(user)).not.toContain('credits.expiring');
  });

  it('leaves a lot that is being spent from for the next time, and keeps no other waiting', async () => {
    const user = await userWithCredits(service, 500);
    await expiresIn(user, 500, '1 day');
    const spender = await service.owner.connect();
    await spender.query('BEGIN');
    await spender.query('SELECT credit_deduct($1, $2)', [
      user.userId,
      { accountId: user.userId, credits: 10, notes: 'x', actor: 'root' },
    ]);
    await service.get(EventsSweeper).sweep();
    await spender.query('COMMIT');
    spender.release();
    expect(await typesOf(user)).toEqual([]);
    await service.get(EventsSweeper).sweep();
    expect(await emittedFor(service, user)).toEqual([
      ['credits.expiring', expect.objectContaining({ credits: 490 })],
    ]);
  });

  it('is found by an index of what was not announced, however many lots there are', async () => {
    const { rows } = await service.owner
      .query<{ 'QUERY PLAN': string }>(
        `SET enable_seqscan = off; PREPARE due AS ${LOTS.due.text}; EXPLAIN EXECUTE due (3, 500, '-infinity', 0)`,
      )
      .then((results) => (results as unknown as (typeof results)[])[2] as typeof results);
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('idx_credit_unannounced');
  });
});

describe('session.timed_out and usage.needs_review', () => {
  it('are emitted once for a session whose lease has run out', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 'lost');
    await user.post('/api/streaming-sessions/progress', { sessionId: 'lost', tokensGenerated: 400 });
    await endLeases(service, user);
    await Promise.all([
      service.get(StreamingSessionsSweeper).sweep(),
      second.get(StreamingSessionsSweeper).sweep(),
    ]);
    const [event, ...more] = await eventsOf(service, user);
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      type: 'session.timed_out',
      userId: user.userId,
      data: {
        sessionId: 'lost',
        modelId: SONNET,
        tokensGenerated: 400,
        heldCredits: 4,
        usedCredits: 2,
        uncollectedCredits: 0,
      },
    });
    // A late finalize settles it; it has timed out once.
    await user.post('/api/streaming-sessions/finalize', { sessionId: 'lost', actualTokens: 1000 });
    expect(await typesOf(user)).toEqual(['session.timed_out']);
  });

  it('are emitted for a call that could not be paid for, and not for its review or its repetition', async () => {
    const user = await userWithCredits(service, 5);
    const body = { requestId: 'dear', modelId: SONNET, tokens: 10_000, onInsufficient: 'review' };
    const made = await user.post<{ record: { id: number } }>('/api/usage/charge', body);
    expect(made.status).toBe(201);
    await user.post('/api/usage/charge', body);
    expect(await emittedFor(service, user)).toEqual([
      [
        'usage.needs_review',
        {
          ...{ userId: user.userId, unitId: null, apiKeyId: null, tags: null },
          usageId: made.body.record.id,
          version: 1,
          service: 'chat',
          operation: SONNET,
          credits: 30,
          uncollectedCredits: 30,
          requestId: 'dear',
          sessionId: null,
        },
      ],
    ]);
    const root = service.as('root', { role: 'admin' });
    const decision = { action: 'waive', version: 1 };
    const review = () => root.post(`/api/usage/records/${made.body.record.id}/review`, decision);
    expect([(await review()).status, (await review()).status]).toEqual([200, 409]);
    const [, ...after] = await emittedFor(service, user);
    expect(after).toEqual([
      [
        'usage.settled',
        expect.objectContaining({ usageId: made.body.record.id, credits: 30, billingStatus: 'waived' }),
      ],
    ]);
  });

  it('are over when a call is billed by a review, or when a late finalize finds it paid', async () => {
    const user = await userWithCredits(service, 5);
    const body = { requestId: 'dear', modelId: SONNET, tokens: 10_000, onInsufficient: 'review' };
    const { record } = (await user.post<{ record: { id: number } }>('/api/usage/charge', body)).body;
    await allocate(user, 500);
    const root = service.as('root', { role: 'admin' });
    await root.post(`/api/usage/records/${record.id}/review`, { action: 'bill', version: 1, credits: 12 });
    expect((await emittedFor(service, user)).at(-1)).toEqual([
      'usage.settled',
      {
        ...{ userId: user.userId, unitId: null, apiKeyId: null, tags: null },
        usageId: record.id,
        version: 2,
        service: 'chat',
        operation: SONNET,
        credits: 12,
        uncollectedCredits: 0,
        requestId: 'dear',
        sessionId: null,
        billingStatus: 'billed',
      },
    ]);
    const late = await userWithCredits(service, 4);
    await initialize(late, 'over');
    await late.post('/api/streaming-sessions/progress', { sessionId: 'over', tokensGenerated: 10_000 });
    await endLeases(service, late);
    await service.get(StreamingSessionsSweeper).sweep();
    await late.post('/api/streaming-sessions/finalize', { sessionId: 'over', actualTokens: 1000 });
    const types = await typesOf(late);
    expect(types.filter((type) => type.startsWith('usage.'))).toEqual([
      'usage.needs_review',
      'usage.settled',
    ]);
    expect(types.at(-1)).toBe('credits.recovered');
  });

  it('are emitted for a session that cost more than there was', async () => {
    const user = await userWithCredits(service, 4);
    await initialize(user, 'over');
    await user.post('/api/streaming-sessions/finalize', { sessionId: 'over', actualTokens: 10_000 });
    expect(await emittedFor(service, user)).toEqual([
      ['usage.needs_review', expect.objectContaining({ sessionId: 'over', uncollectedCredits: 26 })],
      ['credits.exhausted', expect.objectContaining({ credits: 0 })],
    ]);
  });
});

describe('events of API keys', () => {
  interface Key {
    id: number;
    key: string;
    keyHint: string;
  }

  it('are emitted for a key made and ended, once each, and never contain the key', async () => {
    const user = service.as();
    const made = (await user.post<Key>('/api/api-keys', { name: 'k', permissions: ['credits:read'] })).body;
    await user.send('PATCH', `/api/api-keys/${made.id}`, { name: 'other' }, {});
    await user.delete(`/api/api-keys/${made.id}`);
    await user.delete(`/api/api-keys/${made.id}`);
    const events = await eventsOf(service, user);
    const data = { keyId: made.id, keyHint: made.keyHint, expiresAt: null };
    expect(events.map(({ type, data }) => [type, data])).toEqual([
      ['api_key.created', { ...data, name: 'k' }],
      ['api_key.revoked', { ...data, name: 'other', reason: 'revoked' }],
    ]);
    expect(JSON.stringify(events)).not.toContain(made.key.slice(3, 30));
  });

  it('are emitted for a rotation: the new key at once, the old one when it ends', async () => {
    const user = service.as();
    const first = (await user.post<Key>('/api/api-keys', { name: 'k' })).body;
    const next = (await user.post<Key>(`/api/api-keys/${first.id}/rotate`, {})).body;
    const emitted = (await emittedFor(service, user)).map(([type, { keyId, reason }]) => [
      type,
      keyId,
      reason,
    ]);
    expect(emitted.sort()).toEqual([
      ['api_key.created', first.id, undefined],
      ['api_key.created', next.id, undefined],
      ['api_key.revoked', first.id, 'rotated'],
    ]);
    await user.post(`/api/api-keys/${next.id}/rotate`, { overlapSeconds: 3600 });
    await service.get(EventsSweeper).sweep();
    const later = (await emittedFor(service, user)).slice(emitted.length);
    expect(later.map(([type, { keyId }]) => [type, keyId])).toEqual([
      ['api_key.created', expect.any(Number)],
      ['api_key.expiring', next.id],
    ]);
  });

  it('are emitted for an expiry once, and once again when it is changed', async () => {
    const user = service.as();
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
    const made = (await user.post<Key>('/api/api-keys', { name: 'k', expiresAt: inDays(20) })).body;
    const sweep = () => Promise.all([service.get(EventsSweeper).sweep(), second.get(EventsSweeper).sweep()]);
    await sweep();
    expect(await typesOf(user)).toEqual(['api_key.created']);
    for (const days of [5, 6]) {
      await user.send('PATCH', `/api/api-keys/${made.id}`, { expiresAt: inDays(days) }, {});
      await sweep();
      await sweep();
    }
    expect(await typesOf(user)).toEqual(['api_key.created', 'api_key.expiring', 'api_key.expiring']);
  });

  describe('when their expiry passes', () => {
    const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();
    const make = async (user: HttpClient) =>
      (await user.post<Key>('/api/api-keys', { name: 'k', expiresAt: inAnHour() })).body;
    /** As time would: without a statement that changes the key. */
    const letPass = async (key: Key, interval: string) => {
      const owner = await service.owner.connect();
      await owner.query('BEGIN; SET LOCAL session_replication_role = replica');
      await owner.query('UPDATE api_keys SET expires_at = now() - $2::interval WHERE id = $1', [
        key.id,
        interval,
      ]);
      await owner.query('COMMIT');
      owner.release();
    };
    const sweep = () => times(4, (n) => (n % 2 === 0 ? service : second).get(EventsSweeper).sweep());

    it('are emitted for it once, by whichever instance looks', async () => {
      const user = service.as();
      const made = await make(user);
      await letPass(made, '1 second');
      await sweep();
      await sweep();
      const [, ...after] = await emittedFor(service, user);
      expect(after).toEqual([
        [
          'api_key.expired',
          { keyId: made.id, name: 'k', keyHint: made.keyHint, expiresAt: expect.any(String) as string },
        ],
      ]);
    });

    it('are emitted for it at the end of a rotation’s overlap, and not without an overlap, where the rotation emitted its end', async () => {
      const user = service.as();
      const first = await make(user);
      const next = (await user.post<Key>(`/api/api-keys/${first.id}/rotate`, { overlapSeconds: 60 })).body;
      await user.post(`/api/api-keys/${next.id}/rotate`, {});
      await letPass(first, '1 second');
      await sweep();
      const ended = (await emittedFor(service, user)).filter(([type]) => /revoked|expired/.test(type));
      expect(ended.map(([type, { keyId }]) => [type, keyId])).toEqual([
        ['api_key.revoked', next.id],
        ['api_key.expired', first.id],
      ]);
    });

    it('say nothing of keys that were revoked before, nor of what is older than events are kept', async () => {
      const user = service.as();
      const [revoked, old] = [await make(user), await make(user)];
      await user.delete(`/api/api-keys/${revoked.id}`);
      await letPass(revoked, '1 second');
      await letPass(old, '31 days');
      await sweep();
      expect(await typesOf(user)).not.toContain('api_key.expired');
    });
  });
});
