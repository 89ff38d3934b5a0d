// @module-tag two-instances
import { insertRules } from '../support/prices.js';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QuarantineSweeper } from '../../src/integrations/quarantine.sweeper.js';
import { holdUp, waitingForLocks } from '../support/hold-up.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { type Counts, event, type Fields, LOGS, NONE, SECRET } from '../support/litellm-events.js';
import {
  balanceOf,
  countByStatus,
  expectSoundBooks,
  initialize,
  ledgerOf,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

const QUARANTINE = '/api/integrations/litellm/quarantine';

let service: TestService;
let admin: HttpClient;
beforeAll(async () => {
  service = await startService();
  admin = service.as('admin-of-the-gateway', { role: 'admin' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

const post = (body: unknown, headers: Record<string, string> = {}, on = service): Promise<Answer<Counts>> =>
  on.internal().post<Counts>(LOGS, body, headers);

/** Sends, and each element must have become what is expected. */
async function expectCounts(body: unknown, counts: Partial<Counts>, on = service): Promise<void> {
  const answer = await post(body, {}, on);
  expect(answer.status, answer.text).toBe(200);
  expect(answer.body).toEqual({ ...NONE, ...counts });
}

interface Recorded {
  operation: string;
  pricingRuleId: number | null;
  service: string;
  credits: number;
  billingStatus: string;
  uncollectedCredits: number;
  providerCostUsd: string | null;
  providerCostSource: string | null;
  apiKeyId: number | null;
  timestamp: string;
  metadata: Record<string, unknown>;
}

async function recordsOf(user: HttpClient): Promise<Recorded[]> {
  const answer = await user.get<{ items: Recorded[] }>('/api/usage/records?limit=200');
  expect(answer.status).toBe(200);
  return answer.body.items;
}

interface Waiting {
  id: number;
  fingerprint: string;
  claimedUser: string | null;
  reason: string;
  detail: string | null;
  event: Record<string, string | null>;
}

/** All that waits in quarantine, page by page. */
async function waiting(): Promise<Waiting[]> {
  const all: Waiting[] = [];
  let cursor = '';
  do {
    const answer = await admin.get<{ items: Waiting[]; nextCursor: string | null }>(
      `${QUARANTINE}?limit=200${cursor}`,
    );
    expect(answer.status).toBe(200);
    all.push(...answer.body.items);
    cursor = answer.body.nextCursor === null ? '' : `&cursor=${answer.body.nextCursor}`;
  } while (cursor !== '');
  return all;
}

/** A key of a user, as the proxy would know it. */
async function keyOf(user: HttpClient, more: object = {}): Promise<{ id: number; hash: string }> {
  const answer = await user.post('/api/api-keys', { name: 'for the gateway', ...more });
  expect(answer.status, answer.text).toBe(201);
  const hash = createHash('sha256')
    .update(answer.body.key as string)
    .digest('hex');
  return { id: answer.body.id as number, hash };
}

describe('POST logs: 200', () => {
  it('charges a call: price, provider cost, time, model and the facts a person may ask for', async () => {
    const user = await userWithCredits(service, 100);
    const sent = event({ user: user.userId, endTime: 1795250279.846899, startTime: 1795250279.8 });
    await expectCounts([sent], { accepted: 1 });
    expect(await recordsOf(user)).toMatchObject([
      {
        operation: SONNET,
        service: 'chat',
        credits: 3,
        billingStatus: 'billed',
        providerCostUsd: '0.0021',
        providerCostSource: 'reported',
        timestamp: '2026-11-21T08:37:59.846Z',
        metadata: { source: 'litellm', callId: sent.id, litellmCallId: sent.litellm_call_id, tokens: 1000 },
      },
    ]);
    expect((await balanceOf(user)).totalCredits).toBe(97);
    expect((await ledgerOf(user))[0]).toMatchObject({
      kind: 'charge',
      credits: -3,
      actor: 'service:litellm',
    });
  });

  it('takes an array with null, lines, and one object, under either type', async () => {
    const user = await userWithCredits(service, 1000);
    const some = (count: number) => Array.from({ length: count }, () => event({ user: user.userId }));
    await expectCounts([null, ...some(2), null], { accepted: 2, ignored: 2 });
    await expectCounts(some(1)[0], { accepted: 1 });
    const lines = () =>
      some(3)
        .map((each) => JSON.stringify(each))
        .join('\n');
    await expectCounts(lines(), { accepted: 3 });
    const declared = await post(`${lines()}\n`, { 'content-type': 'application/x-ndjson' });
    expect(declared.body).toEqual({ ...NONE, accepted: 3 });
    expect(await recordsOf(user)).toHaveLength(9);
  });

  it.each(['', ' ', '[]', '[null]', 'null', '\n\n'])('has nothing to do for %j', async (body) => {
    const before = await snapshot(service.owner);
    const answer = await post(body);
    expect(answer.status).toBe(200);
    expect(answer.body.accepted + answer.body.quarantined).toBe(0);
    expect(await snapshot(service.owner)).toEqual(before);
  });

  it('keeps an exact cost with every digit, and takes 0 with tokens for unknown', async () => {
    const user = await userWithCredits(service, 1000);
    const exact = JSON.stringify(event({ user: user.userId })).replace(
      '0.0021',
      '0.12345678901234567890123456789',
    );
    await expectCounts(exact, { accepted: 1 });
    const small = JSON.stringify(event({ user: user.userId })).replace('0.0021', '4.499999999999999e-06');
    await expectCounts(small, { accepted: 1 });
    await expectCounts([event({ user: user.userId, response_cost: 0 })], { accepted: 1 });
    await expectCounts([event({ user: user.userId, response_cost: 0, cache_hit: true })], { accepted: 1 });
    const costs = (await recordsOf(user)).map(({ providerCostUsd }) => providerCostUsd);
    expect(costs).toEqual(['0', null, '0.000004499999999999999', '0.12345678901234567890123456789']);
  });

  it('charges what its classes explain, and leaves the rest of a higher total to a review', async () => {
    const user = await userWithCredits(service, 1000);
    await expectCounts([event({ user: user.userId, total_tokens: 3000 })], { review: 1 });
    // 3 credits for each 1,000 tokens, of which 2,000 are in no class.
    expect((await recordsOf(user))[0]).toMatchObject({
      ...{ credits: 9, uncollectedCredits: 6, billingStatus: 'needs_review' },
      quantities: { input: 400, output: 600, tokens: 2000 },
    });
    expect((await balanceOf(user)).totalCredits).toBe(997);
  });

  it('computes a cost that is unknown from the rule, and says so', async () => {
    const user = await userWithCredits(service, 1000);
    const modelId = freshUser('vendor/model');
    const rule = { modelId, pricePerThousandTokens: '2', providerCostPerThousandTokens: '0.5' };
    expect((await admin.post('/api/pricing', rule)).status).toBe(201);
    await expectCounts([event({ user: user.userId, model: modelId, response_cost: 0.0 })], { accepted: 1 });
    expect((await recordsOf(user))[0]).toMatchObject({
      operation: modelId,
      credits: 2,
      providerCostUsd: '0.5',
      providerCostSource: 'computed',
    });
  });

  it('prices by the name that has a price: with the provider, of the price list, or the group', async () => {
    const user = await userWithCredits(service, 1000);
    const name = freshUser('model');
    const rule = (modelId: string, price: string) =>
      admin.post('/api/pricing', { modelId, pricePerThousandTokens: price });
    const call = () =>
      event({
        user: user.userId,
        model: `acme/${name}`,
        custom_llm_provider: 'acme',
        model_group: `${name}-group`,
      });
    const priceOf = async () => {
      await expectCounts([call()], { accepted: 1 });
      const [{ operation, credits }] = (await recordsOf(user)) as [Recorded];
      return [operation, credits];
    };
    expect(await priceOf()).toEqual([name, 1]);
    await rule(`${name}-group`, '5');
    expect(await priceOf()).toEqual([`${name}-group`, 5]);
    await rule(name, '6');
    expect(await priceOf()).toEqual([name, 6]);
    await rule(`acme/${name}`, '7');
    expect(await priceOf()).toEqual([`acme/${name}`, 7]);
  });

  it('prices input, output and cached input each at its own price', async () => {
    const user = await userWithCredits(service, 1000);
    const modelId = freshUser('classes');
    await admin.post('/api/pricing', {
      modelId,
      pricePerThousandTokens: '100',
      pricePerThousandInputTokens: '10',
      pricePerThousandOutputTokens: '20',
      pricePerThousandCachedInputTokens: '1',
    });
    const metadata = { usage_object: { prompt_tokens_details: { cached_tokens: 1000 } } };
    const tokens = { prompt_tokens: 3000, completion_tokens: 1000, total_tokens: 4000 };
    await expectCounts([event({ user: user.userId, model: modelId, metadata, ...tokens })], { accepted: 1 });
    expect((await recordsOf(user))[0]?.credits).toBe(2 * 10 + 20 + 1);
  });

  it('prices by the service tier', async () => {
    const user = await userWithCredits(service, 1000);
    const modelId = freshUser('tiers');
    const components = ['standard', 'priority'].map((serviceTier, index) => ({
      ...{ class: 'tokens', serviceTier, price: String(0.01 * (index + 1)) },
    }));
    expect((await admin.post('/api/pricing', { modelId, components })).status).toBe(201);
    const model_parameters = { service_tier: 'priority' };
    await expectCounts([event({ user: user.userId, model: modelId, model_parameters })], { accepted: 1 });
    expect((await recordsOf(user))[0]).toMatchObject({ credits: 20, serviceTier: 'priority' });
  });

  it('keeps what contradicts itself for a review', async () => {
    const user = await userWithCredits(service, 100);
    const metadata = { usage_object: { prompt_tokens_details: { cached_tokens: 500 } } };
    await expectCounts([event({ user: user.userId, metadata })], { review: 1 });
    expect((await recordsOf(user))[0]).toMatchObject({
      ...{ credits: 3, uncollectedCredits: 1, billingStatus: 'needs_review' },
      quantities: { tokens: 400, output: 600 },
    });
  });

  it('ignores failures without tokens, and charges an aborted stream for what it had', async () => {
    const user = await userWithCredits(service, 100);
    const none = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, response_cost: 0 };
    const failure = event({ user: user.userId, status: 'failure', ...none });
    const aborted = event({ user: user.userId, error_information: { error_code: '499' }, stream: true });
    await expectCounts([failure, aborted], { accepted: 1, ignored: 1 });
    expect(await recordsOf(user)).toMatchObject([
      { credits: 3, metadata: { aborted: true, streamed: true } },
    ]);
  });

  it('keeps a call for review that the balance does not cover, and debits nothing', async () => {
    const user = await userWithCredits(service, 4);
    await expectCounts([event({ user: user.userId }), event({ user: user.userId })], {
      accepted: 1,
      review: 1,
    });
    const records = await recordsOf(user);
    expect(records.map(({ billingStatus }) => billingStatus).sort()).toEqual(['billed', 'needs_review']);
    expect((await balanceOf(user)).totalCredits).toBe(1);
  });

  it('keeps a call of a model without a price for review where such calls are refused', async () => {
    const strict = await service.another({ UNPRICED_MODEL_POLICY: 'reject' });
    const user = await userWithCredits(service, 100);
    const unpriced = event({ user: user.userId, model: freshUser('unpriced') });
    await expectCounts([unpriced], { review: 1 }, strict);
    await expectCounts([unpriced], { duplicates: 1 }, strict);
    expect(await recordsOf(user)).toMatchObject([{ billingStatus: 'needs_review', credits: 1 }]);
    await strict.close();
  });

  it('stores and logs no prompt, no answer and no error text', async () => {
    const own = await startService();
    const user = await userWithCredits(own, 100);
    const bodies = [
      [event({ user: user.userId }), event({ user: 'unknown' }), event({ user: user.userId, model: {} })],
      `${JSON.stringify(event({ user: user.userId }))}\n{"messages":"${SECRET}`,
      `{"messages":"${SECRET}`,
    ];
    for (const body of bodies) await post(body, {}, own);
    const { rows } = await own.owner.query<{ found: string }>(
      `SELECT q::text AS found FROM usage_quarantine q WHERE q::text LIKE $1
       UNION ALL SELECT r::text FROM usage_records r WHERE r::text LIKE $1`,
      [`%${SECRET}%`],
    );
    expect(rows).toEqual([]);
    expect(JSON.stringify(own.logs)).not.toContain(SECRET);
    await own.close();
  });
});

describe('the same event again', () => {
  it('is a duplicate: whole batches may be sent again, and moves nothing', async () => {
    const user = await userWithCredits(service, 100);
    const batch = [
      event({ user: user.userId }),
      event({ user: user.userId }),
      event({ user: freshUser('stranger') }),
      'rubbish',
    ];
    await expectCounts(batch, { accepted: 2, quarantined: 2 });
    const before = await snapshot(service.owner);
    await expectCounts(batch, { duplicates: 4 });
    await expectCounts([batch[0], batch[0]], { duplicates: 2 });
    expect(await snapshot(service.owner)).toEqual(before);
  });

  it('is charged once when whole batches arrive ten times at once, at two instances', async () => {
    const other = await service.another();
    const users = await times(3, () => userWithCredits(service, 1000));
    const strangers = [freshUser('stranger'), freshUser('stranger')];
    const names = [...users.map(({ userId }) => userId), ...strangers];
    const batch = Array.from({ length: 60 }, (_, index) => event({ user: names[index % names.length] }));
    const answers = await times(10, (index) =>
      post(index % 3 ? batch : batch.toReversed(), {}, index % 2 ? other : service),
    );
    const sum = (name: keyof Counts) => answers.reduce((total, { body }) => total + body[name], 0);
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect([sum('accepted'), sum('quarantined'), sum('duplicates')]).toEqual([36, 24, 540]);
    for (const user of users) {
      expect(await recordsOf(user)).toHaveLength(12);
      expect((await balanceOf(user)).totalCredits).toBe(1000 - 36);
    }
    await other.close();
  });

  it('is charged once when the second comes while the first is still at it', async () => {
    const user = await userWithCredits(service, 100);
    const batch = [event({ user: user.userId })];
    // Where both meet in the database: they would wait for each other before it.
    const apart = await service.another({ COMBINE_MOVEMENTS: 'off' });
    const answers = await holdUp(
      service,
      'SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE',
      [user.userId],
      [() => post(batch, {}, apart), () => post(batch, {}, apart)],
    );
    await apart.close();
    expect(answers.map(({ body }) => [body.accepted, body.duplicates])).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect((await balanceOf(user)).totalCredits).toBe(97);
  });

  it.each(['None', null, '', undefined])('is known without an id of its own (%j)', async (id) => {
    const user = await userWithCredits(service, 100);
    const first = event({ user: user.userId, id, litellm_call_id: undefined });
    const later = { ...first, endTime: first.endTime + 0.001 };
    await expectCounts([first, later], { accepted: 2 });
    await expectCounts([later, first], { duplicates: 2 });
    expect((await balanceOf(user)).totalCredits).toBe(94);
  });

  it('but with other content is a second record that waits for review, once', async () => {
    const user = await userWithCredits(service, 100);
    const first = event({ user: user.userId });
    const second = { ...first, completion_tokens: 900, total_tokens: 1300 };
    await expectCounts([first], { accepted: 1 });
    await expectCounts([second], { review: 1 });
    await expectCounts([second, first, second], { duplicates: 3 });
    expect(await recordsOf(user)).toMatchObject([
      { billingStatus: 'needs_review', credits: 4, uncollectedCredits: 4 },
      { billingStatus: 'billed', credits: 3 },
    ]);
    expect((await balanceOf(user)).totalCredits).toBe(97);
  });

  it('from the cache of the proxy is a call of its own, for its id has a suffix', async () => {
    const user = await userWithCredits(service, 100);
    const first = event({ user: user.userId });
    const hit = event({
      user: user.userId,
      id: `${first.id}_cache_hit1795250282.782412`,
      cache_hit: true,
      response_cost: 0,
    });
    await expectCounts([first, hit], { accepted: 2 });
    expect(await recordsOf(user)).toHaveLength(2);
  });
});

describe('the user that a call is charged to', () => {
  it('the user of the key comes before the one that the client names', async () => {
    const [user, other] = [await userWithCredits(service, 100), await userWithCredits(service, 100)];
    await expectCounts([event({ user: user.userId, end_user: other.userId })], { accepted: 1 });
    expect(await recordsOf(user)).toHaveLength(1);
    expect(await recordsOf(other)).toHaveLength(0);
  });

  it('not the end user, whatever the proxy knows, unless the operator trusts it', async () => {
    const trusting = await service.another({ LITELLM_TRUST_END_USER: 'on' });
    for (const user of [null, '', 'default_user_id']) {
      const bob = await userWithCredits(service, 100);
      const call = event({ user, end_user: bob.userId });
      await expectCounts([call], { quarantined: 1 });
      expect(await recordsOf(bob)).toHaveLength(0);
      // It waits for no user, so that no sweeper tries it again and again.
      expect((await waiting()).at(-1)).toMatchObject({ claimedUser: null, event: { endUser: bob.userId } });
      await expectCounts([call], { accepted: 1 }, trusting);
      expect(await recordsOf(bob)).toHaveLength(1);
    }
    await trusting.close();
  });

  it.each(['on', 'off'])(
    'the owner of a key of ours, also when another user is named: trust %s',
    async (trust) => {
      const on = await service.another({ LITELLM_TRUST_END_USER: trust });
      const [alice, bob] = [await userWithCredits(service, 100), await userWithCredits(service, 100)];
      const key = await keyOf(alice);
      for (const user of [null, '', 'default_user_id', bob.userId, freshUser('unknown')]) {
        await expectCounts([event({ user, keyHash: key.hash, end_user: bob.userId })], { accepted: 1 }, on);
      }
      expect((await recordsOf(alice)).map(({ apiKeyId }) => apiKeyId)).toEqual(Array(5).fill(key.id));
      expect(await recordsOf(bob)).toHaveLength(0);
      await on.close();
    },
  );

  it('is nothing that a client says anywhere else in its request', async () => {
    const [alice, bob] = [await userWithCredits(service, 100), await userWithCredits(service, 100)];
    const says = {
      ...{ end_user: bob.userId, user_api_key_user_id: bob.userId, request_tags: [bob.userId] },
      ...{ user_api_key_end_user_id: bob.userId, requester_metadata: { user_api_key_user_id: bob.userId } },
    };
    const call = event({
      user: alice.userId,
      ...says,
      metadata: { ...says, user_api_key_user_id: alice.userId },
    });
    const named = {
      ...call,
      user: bob.userId,
      account_id: bob.userId,
      model_parameters: { user: bob.userId },
    };
    await expectCounts([named], { accepted: 1 });
    expect(await recordsOf(alice)).toHaveLength(1);
    expect(await recordsOf(bob)).toHaveLength(0);
  });

  it('only the user of the key: an end user does not pay for an unknown one', async () => {
    const alice = await userWithCredits(service, 100);
    await expectCounts([event({ user: freshUser('unknown'), end_user: alice.userId })], { quarantined: 1 });
    expect(await recordsOf(alice)).toHaveLength(0);
  });

  it('the owner of a key of ours, whose limit counts', async () => {
    const user = await userWithCredits(service, 100);
    const key = await keyOf(user, { creditLimit: 5 });
    await expectCounts([event({ keyHash: key.hash }), event({ keyHash: key.hash, user: user.userId })], {
      accepted: 1,
      review: 1,
    });
    expect((await recordsOf(user)).map(({ apiKeyId }) => apiKeyId)).toEqual([key.id, key.id]);
    const listed = await user.get(`/api/api-keys/${key.id}`);
    expect(listed.body).toMatchObject({ creditLimit: 5, creditsUsed: 3 });
  });

  it('the owner of a key of ours also when the end user is unknown: naming a stranger evades nothing', async () => {
    const user = await userWithCredits(service, 100);
    const key = await keyOf(user);
    await expectCounts([event({ keyHash: key.hash, end_user: freshUser('stranger') })], { accepted: 1 });
    expect(await recordsOf(user)).toHaveLength(1);
  });

  it('the owner of a key of ours also after the end user has appeared', async () => {
    const user = await userWithCredits(service, 100);
    const key = await keyOf(user);
    const late = freshUser('late');
    const call = event({ keyHash: key.hash, end_user: late });
    await expectCounts([call], { accepted: 1 });
    const appeared = service.as(late);
    await balanceOf(appeared);
    await expectCounts([call, event({ keyHash: key.hash, end_user: late })], { duplicates: 1, accepted: 1 });
    expect(await recordsOf(appeared)).toHaveLength(0);
  });
});

describe('ids that a client chooses', () => {
  it('make no two calls into one, and no later call wait: neither the call id nor the end of a long id', async () => {
    const user = await userWithCredits(service, 100);
    const long = 'i'.repeat(250);
    const at = Date.now() / 1000;
    const same = { user: user.userId, litellm_call_id: 'mine', startTime: at - 2, endTime: at };
    await expectCounts(
      [
        event({ ...same, id: 'None' }),
        event({ ...same, id: 'None', endTime: at + 0.001 }),
        event({ ...same, id: `${long}1` }),
        event({ ...same, id: `${long}2` }),
        event({ ...same, id: 'a\u0000' }),
        event({ ...same, id: 'a\ufffd' }),
      ],
      { accepted: 6 },
    );
    expect((await balanceOf(user)).totalCredits).toBe(82);
  });

  it('400 for a charge that takes the request id of a call of the gateway', async () => {
    const user = await userWithCredits(service, 100);
    for (const requestId of ['litellm:', 'litellm:chatcmpl-1', `litellm:${'0'.repeat(64)}`]) {
      const answer = await user.post('/api/usage/charge', { requestId, modelId: SONNET, tokens: 1 });
      expectProblem(answer, 400, { field: 'requestId' });
    }
    expect(await recordsOf(user)).toHaveLength(0);
  });
});

it('a call that is reported late costs what it cost when it was made', async () => {
  const user = await userWithCredits(service, 1000);
  const [then, now] = await insertRules(service.owner, user.userId, [
    { modelId: 'late-model', price: 3, from: '-1 day', to: '-1 hour' },
    { modelId: 'late-model', price: 300, from: '-1 hour' },
  ]);
  const twoHoursAgo = Date.now() / 1000 - 7200;
  const late = { startTime: twoHoursAgo, endTime: twoHoursAgo };
  const calls = [late, {}].map((times) =>
    event({
      user: user.userId,
      model: 'late-model',
      model_group: 'late-model',
      custom_llm_provider: '',
      ...times,
    }),
  );
  await expectCounts(calls, { accepted: 2 });
  const charged = (await recordsOf(user)).map(({ credits, pricingRuleId }) => [credits, pricingRuleId]);
  expect(charged).toEqual([
    [300, now],
    [3, then],
  ]);
});

it('also when the rule of then had another of its names', async () => {
  const user = await userWithCredits(service, 1000);
  await insertRules(service.owner, user.userId, [
    { modelId: 'acme/ended', price: 3, from: '-1 day', to: '-1 hour' },
    { modelId: 'begun', price: 4, from: '-1 day' },
    { modelId: 'acme/begun', price: 5, from: '-1 hour' },
  ]);
  const call = (name: string, endTime: number) =>
    event({ user: user.userId, model: `acme/${name}`, custom_llm_provider: 'acme', endTime });
  const now = Date.now() / 1000;
  const calls = ['ended', 'begun'].flatMap((name) => [call(name, now - 7200), call(name, now)]);
  await expectCounts(calls, { accepted: 4 });
  const charged = (await recordsOf(user)).map(({ operation, credits }) => [operation, credits]);
  expect(charged.sort()).toEqual([
    ['acme/begun', 5],
    ['acme/ended', 3],
    ['begun', 4],
    ['ended', 1],
  ]);
});

describe('the quarantine', () => {
  it('keeps what no known user has done, shows it to admins, and fails nothing else', async () => {
    const user = await userWithCredits(service, 100);
    const stranger = freshUser('stranger');
    const unknown = event({ user: stranger });
    await expectCounts([unknown, event({ user: user.userId }), event()], { accepted: 1, quarantined: 2 });
    const mine = (await waiting()).filter(({ claimedUser }) => claimedUser === stranger);
    expect(mine).toMatchObject([
      {
        reason: 'unknown_user',
        detail: null,
        event: { id: unknown.id, model: unknown.model, promptTokens: '400', responseCost: '0.0021' },
      },
    ]);
    expect(JSON.stringify(mine)).not.toContain(SECRET);
  });

  it('is charged by itself when the user appears, once, by any instance', async () => {
    const other = await service.another();
    const stranger = freshUser('stranger');
    const calls = Array.from({ length: 5 }, () => event({ user: stranger }));
    await expectCounts(calls, { quarantined: 5 });
    const sweepers = [service, other].map((on) => on.get(QuarantineSweeper));
    await times(2, (index) => (sweepers[index] as QuarantineSweeper).sweep());
    const user = service.as(stranger);
    await balanceOf(user);
    await service
      .as('boss', { role: 'supervisor' })
      .post('/api/credits/allocate', { userId: stranger, credits: 100 });
    const swept = await times(6, (index) => (sweepers[index % 2] as QuarantineSweeper).sweep());
    expect(swept.reduce((total, { accepted }) => total + accepted, 0)).toBe(5);
    expect(await recordsOf(user)).toHaveLength(5);
    expect((await balanceOf(user)).totalCredits).toBe(85);
    expect((await waiting()).filter(({ claimedUser }) => claimedUser === stranger)).toEqual([]);
    await expectCounts(calls, { duplicates: 5 });
    const { rows } = await service.owner.query<{ usage_account_id: string }>(
      `SELECT q.usage_account_id FROM usage_quarantine q JOIN usage_records r ON r.account_id = q.usage_account_id AND r.id = q.usage_id
        WHERE q.claimed_user = $1 AND q.resolved_at IS NOT NULL`,
      [stranger],
    );
    expect(rows).toHaveLength(5);
    await other.close();
  });

  it('lets go of an event that is sent again with a known user, and charges it once', async () => {
    const user = await userWithCredits(service, 100);
    const stranger = freshUser('stranger');
    const call = event({ user: stranger });
    const metadata = { ...call.metadata, user_api_key_user_id: user.userId };
    const corrected = { ...call, metadata };
    await expectCounts([call], { quarantined: 1 });
    await expectCounts([corrected, call], { accepted: 1, duplicates: 1 });
    const appeared = service.as(stranger);
    await balanceOf(appeared);
    await service.get(QuarantineSweeper).sweep();
    expect([await recordsOf(user), await recordsOf(appeared)].map(({ length }) => length)).toEqual([1, 0]);
    expect((await waiting()).filter(({ claimedUser }) => claimedUser === stranger)).toEqual([]);
  });

  it('is charged by an admin, once for each event however many call at once', async () => {
    const stranger = freshUser('stranger');
    const calls = Array.from({ length: 20 }, () => event({ user: stranger }));
    await expectCounts(calls, { quarantined: 20 });
    const user = service.as(stranger);
    await balanceOf(user);
    const answers = await times(4, () => admin.post<Counts>(`${QUARANTINE}/replay`));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    // The user has no credits.
    expect(answers.reduce((total, { body }) => total + body.review, 0)).toBe(20);
    const records = await recordsOf(user);
    expect(records).toHaveLength(20);
    expect(records.every(({ billingStatus }) => billingStatus === 'needs_review')).toBe(true);
  });

  it('replays what was charged meanwhile without charging it again', async () => {
    const stranger = freshUser('stranger');
    const call = event({ user: stranger });
    await expectCounts([call], { quarantined: 1 });
    const user = service.as(stranger);
    await balanceOf(user);
    await expectCounts([call], { review: 1 });
    // As if the process had died between the two.
    await service.owner.query(
      `UPDATE usage_quarantine SET resolved_at = NULL, usage_account_id = NULL, usage_id = NULL
        WHERE claimed_user = $1`,
      [stranger],
    );
    const swept = await service.get(QuarantineSweeper).sweep();
    expect(swept).toEqual({ ...NONE, duplicates: 1 });
    expect(await recordsOf(user)).toHaveLength(1);
  });

  it('goes on after an instance that died in the middle of it', async () => {
    const stranger = freshUser('stranger');
    await expectCounts([event({ user: stranger })], { quarantined: 1 });
    await balanceOf(service.as(stranger));
    const attempted = (ago: string) =>
      service.owner.query(
        `UPDATE usage_quarantine SET attempted_at = now() - $2::interval WHERE claimed_user = $1`,
        [stranger, ago],
      );
    await attempted('10 seconds');
    expect(await service.get(QuarantineSweeper).sweep()).toEqual(NONE);
    await attempted('61 seconds');
    expect(await service.get(QuarantineSweeper).sweep()).toEqual({ ...NONE, review: 1 });
  });

  it.each<[what: string, element: unknown, detail: RegExp]>([
    ['a number', 5, /JSON object/],
    ['a text', 'other rubbish', /JSON object/],
    ['a list', [event()], /JSON object/],
    ['an empty object', {}, /^status/],
    ['no model', event({ model: undefined }), /^model/],
    ['a huge model', event({ model: 'm'.repeat(1_000_000) }), /^model/],
    ['a model that cannot be stored', event({ model: 'a\u0000b' }), /^model/],
    ['negative tokens', event({ prompt_tokens: -5 }), /^tokens/],
    ['broken tokens', event({ prompt_tokens: 1.5 }), /^tokens/],
    ['absurd tokens', event({ total_tokens: 1e15 }), /^tokens/],
    ['tokens that are none', event({ completion_tokens: { a: 1 } }), /^tokens/],
    ['no time', event({ endTime: null }), /^endTime/],
    ['a time in milliseconds', event({ endTime: Date.now() }), /^endTime/],
    ['an unknown status', event({ status: 'perhaps' }), /^status/],
  ])('keeps what is not understood, and says why: %s', async (_, element, detail) => {
    const user = await userWithCredits(service, 100);
    const before = new Set((await waiting()).map(({ id }) => id));
    await expectCounts([element, event({ user: user.userId })], { accepted: 1, quarantined: 1 });
    const added = (await waiting()).filter(({ id }) => !before.has(id));
    expect(added).toMatchObject([
      { reason: 'not_understood', detail: expect.stringMatching(detail) as string },
    ]);
    expect(JSON.stringify(added).length).toBeLessThan(3000);
  });

  it.each<[what: string, more: Fields]>([
    [
      'huge texts',
      { id: 'i'.repeat(100_000), end_user: 'e'.repeat(100_000), model_group: 'g'.repeat(100_000) },
    ],
    ['texts that cannot be stored', { id: 'a\u0000b\ud800', model_group: '\u0000', call_type: '\udfff' }],
    ['objects for texts', { id: {}, end_user: [], call_type: {}, model_group: [1], cache_hit: 'perhaps' }],
    ['an absurd cost', { response_cost: -1e300 }],
    [
      'keys that mean something to JavaScript',
      { ['__proto__']: { status: 'failure' }, constructor: 1, toString: 2 },
    ],
  ])('does without what is absurd but not needed: %s', async (_, more) => {
    const user = await userWithCredits(service, 100);
    await expectCounts([event({ user: user.userId, ...more })], { accepted: 1 });
    expect((await recordsOf(user))[0]).toMatchObject({ credits: 3 });
  });

  it('reads NaN and Infinity, which Python writes, as numbers that are none', async () => {
    const user = await userWithCredits(service, 100);
    const [good, bad] = [event({ user: user.userId, response_cost: 'NAN' }), event({ prompt_tokens: 'NAN' })];
    const body = JSON.stringify([good, bad]).replace('"NAN"', 'NaN').replace('"NAN"', '-Infinity');
    await expectCounts(body, { accepted: 1, quarantined: 1 });
  });

  it('keeps a broken line and takes the others', async () => {
    const user = await userWithCredits(service, 100);
    const line = () => JSON.stringify(event({ user: user.userId }));
    await expectCounts(`${line()}\n{"id": "cut off…\n${line()}`, { accepted: 2, quarantined: 1 });
  });

  it('keeps what the database refuses, and takes the others', async () => {
    const user = await userWithCredits(service, 100);
    const poor = freshUser('refused');
    await balanceOf(service.as(poor));
    await service.owner.query(
      `CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '22003'; END $$`,
    );
    await service.owner.query(
      `CREATE TRIGGER refuse_it BEFORE INSERT ON usage_records FOR EACH ROW WHEN (NEW.account_id = '${poor}')
         EXECUTE FUNCTION refuse_it()`,
    );
    await expectCounts([event({ user: poor }), event({ user: user.userId })], {
      accepted: 1,
      quarantined: 1,
    });
    await service.owner.query('DROP TRIGGER refuse_it ON usage_records');
    expect((await waiting()).at(-1)).toMatchObject({ claimedUser: poor, reason: 'refused', detail: /22003/ });
    const replayed = await admin.post<Counts>(`${QUARANTINE}/replay`);
    expect(replayed.body.review).toBe(1);
    expect(await recordsOf(service.as(poor))).toHaveLength(1);
  });

  it('can be written by the service as it needs to, and never rewritten or deleted', async () => {
    const runtime = new pg.Client({ connectionString: service.databaseUrl });
    await runtime.connect();
    for (const statement of [
      'DELETE FROM usage_quarantine',
      'TRUNCATE usage_quarantine',
      `UPDATE usage_quarantine SET event = '{}'`,
      `UPDATE usage_quarantine SET claimed_user = 'alice'`,
      `INSERT INTO usage_quarantine (source, fingerprint, reason, event, resolved_at)
       VALUES ('litellm', repeat('0', 64), 'refused', '{}', now())`,
    ]) {
      await expect(runtime.query(statement), statement).rejects.toMatchObject({ code: '42501' });
    }
    await runtime.end();
  });

  it('is listed page by page, oldest first, without what is resolved', async () => {
    await expectCounts(
      Array.from({ length: 7 }, () => event({ user: freshUser('page') })),
      { quarantined: 7 },
    );
    const all = await waiting();
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).toSorted((a, b) => a - b));
    const first = await admin.get<{ items: Waiting[]; nextCursor: string }>(`${QUARANTINE}?limit=3`);
    const second = await admin.get<{ items: Waiting[] }>(
      `${QUARANTINE}?limit=3&cursor=${first.body.nextCursor}`,
    );
    expect([...first.body.items, ...second.body.items]).toEqual(all.slice(0, 6));
  });
});

describe('very large batches', () => {
  it('are taken whole: thousands of events, up to 10 MB', async () => {
    const users = await times(5, () => userWithCredits(service, 100_000));
    const batch = Array.from({ length: 2500 }, (_, index) =>
      event({ user: users[index % 5]?.userId as string, messages: 'x'.repeat(2200) }),
    );
    const body = JSON.stringify(batch);
    expect(body.length).toBeGreaterThan(7e6);
    await expectCounts(body, { accepted: 2500 });
    expect((await balanceOf(users[0] as HttpClient)).totalCredits).toBe(100_000 - 1500);
  });

  it('never take more connections than four', async () => {
    const users = await times(12, () => userWithCredits(service, 100));
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('SELECT 1 FROM credit_balances WHERE account_id = ANY($1) FOR UPDATE', [
      users.map(({ userId }) => userId),
    ]);
    const answer = post(users.map(({ userId }) => event({ user: userId })));
    await expect.poll(() => waitingForLocks(service)).toBe(4);
    await new Promise((settled) => setTimeout(settled, 100));
    expect(await waitingForLocks(service)).toBe(4);
    await gate.query('ROLLBACK');
    gate.release();
    expect((await answer).body).toEqual({ ...NONE, accepted: 12 });
  });

  it('may be compressed', async () => {
    const user = await userWithCredits(service, 100);
    const response = await fetch(service.url + LOGS, {
      method: 'POST',
      headers: {
        'x-internal-api-key': INTERNAL_KEY,
        'content-type': 'application/json',
        'content-encoding': 'gzip',
      },
      body: gzipSync(JSON.stringify([event({ user: user.userId })])),
    });
    expect(await response.json()).toEqual({ ...NONE, accepted: 1 });
  });
});

describe('POST logs: refusals', () => {
  it.each(['{', '[{"a":1},', 'not json', '<xml/>'])(
    '400 when nothing in the body is JSON: %s',
    async (body) => {
      const before = await snapshot(service.owner);
      expectProblem(await post(body), 400, { code: 'request.malformed', field: 'body' });
      expect(await snapshot(service.owner)).toEqual(before);
    },
  );

  it('413 above 10 MB, and above 10,000 events, with nothing done', async () => {
    const before = await snapshot(service.owner);
    const large = JSON.stringify([event({ messages: 'x'.repeat(10.5 * 1024 * 1024) })]);
    expectProblem(await post(large), 413, {
      code: 'request.too_large',
      message: 'The body is larger than 10 MB',
    });
    const many = `[${'{},'.repeat(10_000)}{}]`;
    expectProblem(await post(many), 413, { code: 'request.too_large' });
    expect(await snapshot(service.owner)).toEqual(before);
  });

  it('413 above 100 kB elsewhere, as before', async () => {
    const answer = await service
      .as()
      .post('/api/credits/check', { requiredCredits: 1, x: 'x'.repeat(200_000) });
    expectProblem(answer, 413, { code: 'request.too_large', message: 'The body is larger than 100 kB' });
  });

  it('415 for a body of another type', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
      expectProblem(await post('[]', { 'content-type': type }), 415, {
        code: 'request.unsupported_media_type',
      });
    }
    const elsewhere = await service
      .as()
      .post('/api/credits/check', '{}', { 'content-type': 'application/x-ndjson' });
    expectProblem(elsewhere, 415);
  });

  it('403 for every token, also an admin’s, and 401 before any of the body is read', async () => {
    for (const role of ['user', 'supervisor', 'admin']) {
      expectProblem(await service.as(undefined, { role }).post(LOGS, []), 403, {
        code: 'auth.service_required',
      });
    }
    const large = 'x'.repeat(5 * 1024 * 1024);
    expectProblem(await service.anonymous().post(LOGS, large), 401, { code: 'auth.token_required' });
  });

  it('never 429: the proxy would drop the calls', async () => {
    const limited = await service.another({ RATE_LIMIT_MAX: '3' });
    const answers = await times(10, () => post([], {}, limited));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    await limited.close();
  });

  it('429 for a stranger, who has the limit of an address here too', async () => {
    const limited = await service.another({ RATE_LIMIT_MAX: '3' });
    const answers = await times(10, () => limited.anonymous().post(LOGS, []));
    expect(countByStatus(answers)).toEqual({ 401: 3, 429: 7 });
    await limited.close();
  });

  it('503 when calls of the user wait too long for their turn, and the same batch again is charged once', async () => {
    const user = await userWithCredits(service, 100);
    const batch = [event({ user: user.userId })];
    const impatient = await service.another({ DB_CONNECT_TIMEOUT_MS: '300' });
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE', [user.userId]);
    const before = initialize(user.at(impatient.url), 'before');
    await expect.poll(() => waitingForLocks(service)).toBe(1);
    expectProblem(await post(batch, {}, impatient), 503, { code: 'service.unavailable' });
    await gate.query('ROLLBACK');
    gate.release();
    expect((await before).status).toBe(201);
    await expectCounts(batch, { accepted: 1 }, impatient);
    await impatient.close();
  });

  it('503 when the database is away, and the same batch again is charged once', async () => {
    const user = await userWithCredits(service, 100);
    const batch = [event({ user: user.userId })];
    const away = await service.another({ DB_STATEMENT_TIMEOUT_MS: '200' });
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE', [user.userId]);
    expectProblem(await post(batch, {}, away), 503, { code: 'service.unavailable' });
    await gate.query('ROLLBACK');
    gate.release();
    await expectCounts(batch, { accepted: 1 }, away);
    await away.close();
  });
});

describe('GET /integrations/litellm/differences', () => {
  interface Difference {
    userId: string;
    modelId: string;
    requestId: string;
    reportedCostUsd: string;
    computedCostUsd: string;
  }
  interface Page {
    items: Difference[];
    nextCursor: string | null;
  }
  const DIFFERENCES = '/api/integrations/litellm/differences';
  const counted = async () =>
    Number(
      /accounting_cost_differences_total\{gateway="litellm"\} (\d+)/.exec(
        (await service.anonymous().get('/metrics')).text,
      )?.[1],
    );

  it('lists and counts the calls whose cost is more than 1 % off that of the rule, once each', async () => {
    const modelId = freshUser('model');
    const price = { price: '0.001', providerCostUsd: '0.000001' };
    const components = ['input', 'output'].map((name) => ({ class: name, ...price }));
    expect((await admin.post('/api/pricing', { modelId, components })).status).toBe(201);
    const user = await userWithCredits(service, 1000);
    // 1,000 tokens cost 0.001 USD by the rule.
    const costs = [0.001, 0.00101, 0.00099, 0.00102, 0.0009, 0];
    const events = costs.map((cost) =>
      event({ user: user.userId, model: modelId, custom_llm_provider: null, response_cost: cost }),
    );
    const before = await counted();
    for (let sent = 0; sent < 2; sent++) await service.internal().post(LOGS, events);
    expect(await counted()).toBe(before + 2);
    const pages: Difference[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const path: string = DIFFERENCES + (cursor === '' ? '?limit=1' : `?limit=1&cursor=${cursor}`);
      const page: Answer<Page> = await admin.get<Page>(path);
      pages.push(...page.body.items);
      cursor = page.body.nextCursor;
    }
    expect(pages.filter(({ userId }) => userId === user.userId)).toMatchObject(
      [4, 3].map((index) => ({
        modelId,
        requestId: `litellm:${events[index]?.id}`,
        reportedCostUsd: String(costs[index]),
        computedCostUsd: '0.001',
      })),
    );
  });

  it('has no call that was charged without a gateway, and none whose cost by the rule is unknown', async () => {
    const user = await userWithCredits(service, 1000);
    await service.internal().post(LOGS, [event({ user: user.userId, response_cost: 5 })]);
    const call = { requestId: freshUser('call'), modelId: SONNET, tokens: 10, providerCostUsd: '5' };
    expect((await user.post('/api/usage/charge', call)).status).toBe(201);
    const { body } = await admin.get<{ items: Difference[] }>(`${DIFFERENCES}?limit=200`);
    expect(body.items.filter(({ userId }) => userId === user.userId)).toEqual([]);
  });
});
