import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../../src/streaming-sessions/streaming-sessions.sweeper.js';
import { startDatabaseProxy } from '../../support/database-proxy.js';
import { endLeases, initialize, userWithCredits } from '../../support/money.js';
import { startService, type TestService } from '../../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

async function metrics(on = service, headers: Record<string, string> = {}): Promise<string> {
  const answer = await on.anonymous().get('/metrics', headers);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  return answer.text;
}
/** The value of a line such as `name{labels} 3`. */
const value = (text: string, line: string) =>
  Number(
    text
      .split('\n')
      .find((one) => one.startsWith(`${line} `))
      ?.split(' ')
      .at(-1),
  );

describe('GET /metrics', () => {
  it('tells holds, refusals, time-outs, reviews, the pool, and requests by route and status', async () => {
    const user = await userWithCredits(service, 10);
    await initialize(user, 'a');
    await initialize(user, 'b');
    expect((await initialize(user, 'c')).status).toBe(402);
    await user.post('/api/usage/charge', {
      requestId: 'r',
      modelId: 'm',
      tokens: 1,
      billingStatus: 'needs_review',
    });
    let text = await metrics();
    expect(value(text, 'accounting_sessions_active')).toBe(2);
    expect(value(text, 'accounting_held_credits')).toBe(8);
    expect(value(text, 'accounting_review_queue')).toBe(1);
    expect(value(text, 'accounting_holds_refused_total{reason="insufficient"}')).toBe(1);
    const route = 'method="POST",route="/api/streaming-sessions/initialize"';
    expect(value(text, `http_request_duration_seconds_count{${route},status="201"}`)).toBe(2);
    expect(value(text, `http_request_duration_seconds_count{${route},status="402"}`)).toBe(1);
    expect(value(text, 'accounting_database_connections_total')).toBeGreaterThan(0);
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    await endLeases(service, user);
    text = await metrics();
    expect(value(text, 'accounting_session_sweep_lag_seconds')).toBeGreaterThanOrEqual(1);
    await service.get(StreamingSessionsSweeper).sweep();
    text = await metrics();
    expect(value(text, 'accounting_session_sweep_lag_seconds')).toBe(0);
    expect(value(text, 'accounting_sessions_timed_out_total')).toBe(2);
    expect(value(text, 'accounting_sessions_active')).toBe(0);
  });

  it('tells what the last audit found, and nothing before there was one', async () => {
    const fresh = await service.another();
    expect(await metrics(fresh)).not.toContain('accounting_audit_differences{');
    await fresh.as('root', { role: 'admin' }).get('/api/credits/audit');
    expect(value(await metrics(fresh), 'accounting_audit_differences{scope="all users"}')).toBe(0);
    await fresh.close();
  });

  it('names routes, never users, models or whatever else a path may hold', async () => {
    const user = await userWithCredits(service, 10);
    await user.get(`/api/credits/balance/${user.userId}`);
    await user.get('/api/pricing/some-model/of-mine');
    await user.get('/api/nothing/like-this');
    const text = await metrics();
    expect(text).toContain('route="/api/credits/balance/:userId"');
    for (const secret of [user.userId, 'some-model', 'like-this']) expect(text).not.toContain(secret);
  });

  it('comes also when the database does not answer', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const cut = await service.another({ DATABASE_URL: proxy.url, DB_CONNECT_TIMEOUT_MS: '300' });
    proxy.cut();
    expect(await metrics(cut)).toContain('process_cpu_seconds_total');
    await cut.close();
    await proxy.close();
  });

  it('401: with METRICS_TOKEN only to who shows it', async () => {
    const closed = await service.another({ METRICS_TOKEN: 'token-of-the-scraper' });
    expect((await closed.anonymous().get('/metrics')).status).toBe(401);
    const wrong = await closed.anonymous().get('/metrics', { authorization: 'Bearer token-of-somebody' });
    expect([wrong.status, wrong.body.code]).toEqual([401, 'auth.invalid_token']);
    await metrics(closed, { authorization: 'Bearer token-of-the-scraper' });
    await closed.close();
  });
});
