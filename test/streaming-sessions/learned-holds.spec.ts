import { afterAll, beforeAll, expect, it } from 'vitest';
import { OutputLengths } from '../../src/streaming-sessions/output-lengths.sweeper.js';
import type { HttpClient } from '../support/http-client.js';
import { expectSoundBooks, userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

const SESSIONS = '/api/streaming-sessions';

let service: TestService;
let user: HttpClient;
beforeAll(async () => {
  service = await startService();
  // 1 credit per 1,000 input, 1 credit per output token.
  for (const modelId of ['learned', 'seldom', 'sizes'])
    await service.as('root', { role: 'admin' }).post('/api/pricing', {
      modelId,
      pricePerThousandTokens: '1',
      pricePerThousandInputTokens: '1',
      pricePerThousandOutputTokens: '1000',
    });
  user = await userWithCredits(service, 100_000_000);
});
afterAll(async () => {
  // They were written past the roll-up, which the audit would find.
  await service.owner.query("DELETE FROM usage_records WHERE session_id LIKE 'like %'");
  await expectSoundBooks(service);
  await service.close();
});

let started = 0;
async function start(modelId: string, inputTokens: number, maxOutputTokens: number) {
  const sessionId = `s${++started}`;
  const answer = await user.post(`${SESSIONS}/initialize`, {
    sessionId,
    modelId,
    inputTokens,
    maxOutputTokens,
  });
  expect(answer.status).toBe(201);
  return { ...answer.body, sessionId } as unknown as {
    sessionId: string;
    allocatedCredits: number;
    estimateSource: string;
  };
}

/** Completed calls like one that was made, of these lengths and so many minutes ago. */
async function completed(modelId: string, inputTokens: number, lengths: number[], minutesAgo: number) {
  const { sessionId } = await start(modelId, inputTokens, 10);
  await user.post(`${SESSIONS}/finalize`, { sessionId, inputTokens, outputTokens: 1 });
  await service.owner.query(
    `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, billing_status, session_id, quantities)
     SELECT account_id, user_id, timestamp - $3 * interval '1 minute', service, operation, credits, billing_status, 'like ' || session_id,
            quantities || jsonb_build_object('output', length)
       FROM usage_records, unnest($4::integer[]) length WHERE account_id = $1 AND session_id = $2`,
    [user.userId, sessionId, minutesAgo, lengths],
  );
}

const learn = async () => {
  await service.get(OutputLengths).sweep();
  await service.get(OutputLengths).read();
};
const range = (count: number, at = (index: number) => index) =>
  Array.from({ length: count }, (_, i) => at(i));
const forget = () =>
  service.owner.query('DELETE FROM output_lengths; UPDATE output_learning SET counted_until = DEFAULT');

it('covers what 80 % of the calls of the model with an input of this size needed, once 200 are known', async () => {
  await forget();
  await completed(
    'learned',
    100,
    range(199, (index) => 10 * (index + 1)),
    90,
  );
  await learn();
  expect(await start('learned', 100, 4000)).toMatchObject({
    estimateSource: 'ceiling',
    allocatedCredits: 4001,
  });
  await service.owner.query("UPDATE output_learning SET counted_until = now() - interval '20 minutes'");
  await completed('learned', 100, [2000], 10);
  await learn();
  const learned = await start('learned', 100, 4000);
  expect(learned.estimateSource).toBe('learned');
  // The quantile is 1,600; a size is at most 9 % wide. The input costs 0.1 credits.
  expect(learned.allocatedCredits).toBeGreaterThanOrEqual(1601);
  expect(learned.allocatedCredits).toBeLessThanOrEqual(1600 * 1.1);
  // Never above the declared maximum, and not for an input of another size.
  expect(await start('learned', 100, 500)).toMatchObject({
    estimateSource: 'ceiling',
    allocatedCredits: 501,
  });
  expect(await start('learned', 5000, 4000)).toMatchObject({ estimateSource: 'ceiling' });
  // A second look at the same time learns nothing twice.
  await learn();
  const { rows } = await service.owner.query('SELECT sum(weight) AS weight FROM output_lengths');
  expect(rows).toEqual([{ weight: 200 }]);
});

it('repeats the first answer, whatever was learned since; a stream that needs more grows', async () => {
  await completed(
    'sizes',
    10,
    range(200, () => 64),
    10,
  );
  const before = await start('sizes', 10, 4000);
  await forget();
  await learn();
  const declared = { sessionId: before.sessionId, modelId: 'sizes', inputTokens: 10, maxOutputTokens: 4000 };
  const again = await user.post(`${SESSIONS}/initialize`, declared);
  expect([again.status, again.body]).toMatchObject([
    200,
    { estimateSource: 'ceiling', allocatedCredits: 4001 },
  ]);
  const { sessionId, allocatedCredits } = await start('sizes', 10, 4000);
  expect(allocatedCredits).toBe(65);
  const grown = await user.post(`${SESSIONS}/progress`, { sessionId, tokensGenerated: 1000 });
  expect(grown.body).toMatchObject({ allocatedCredits: 1202, shouldStop: false });
  const most = await user.post(`${SESSIONS}/progress`, { sessionId, tokensGenerated: 3900 });
  expect(most.body).toMatchObject({ allocatedCredits: 4001, shouldStop: false });
  const end = await user.post(`${SESSIONS}/finalize`, { sessionId, inputTokens: 10, outputTokens: 70 });
  expect(end.body).toMatchObject({ actualCredits: 71, refund: 3930 });
});

it('forgets by half each week, and keeps the 1,000 models that are used most', async () => {
  await service.owner.query(`
    DELETE FROM output_lengths;
    INSERT INTO output_lengths SELECT 'm' || n, 3, 40, n FROM generate_series(1, 1100) n;
    UPDATE output_learning SET counted_until = now() - interval '8 days'`);
  await learn();
  const { rows } = await service.owner.query<{ models: number; most: number; least: number; weeks: number }>(`
    SELECT count(*)::integer AS models, max(weight) AS most, min(weight) AS least,
           (date_trunc('week', now(), 'UTC')::date - date_trunc('week', now() - interval '8 days', 'UTC')::date) / 7 AS weeks
      FROM output_lengths WHERE model_id LIKE 'm%'`);
  const weeks = rows[0]?.weeks as number;
  expect([1, 2]).toContain(weeks);
  expect(rows).toEqual([{ models: 1000, most: 1100 / 2 ** weeks, least: 101 / 2 ** weeks, weeks }]);
});
