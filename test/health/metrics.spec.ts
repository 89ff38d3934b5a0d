import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CreditsAuditService } from '../../src/credits/credits-audit.service.js';
import { STATE } from '../../src/health/database-gauges.js';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import { startDatabaseProxy } from '../support/database-proxy.js';
import { endLeases, initialize, userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

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
  it('counts holds, refusals, time-outs, reviews, the pool, and requests by route and status', async () => {
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
    expect(value(text, 'accounting_database_up')).toBe(1);
    expect(
      value(text, 'accounting_database_pool_connections{pool="movements",state="idle"}'),
    ).toBeGreaterThan(0);
    for (const [pool, limit] of Object.entries({ movements: 20, other: 10, reports: 2 })) {
      expect(value(text, `accounting_database_pool_limit{pool="${pool}"}`)).toBe(limit);
      expect(value(text, `accounting_database_pool_waiting{pool="${pool}"}`)).toBe(0);
    }
    expect(value(text, 'accounting_holds_refused_total{reason="budget_exceeded"}')).toBe(0);
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

  it('counts holds by who estimated them, those that grew, and how much they held for what was used', async () => {
    const user = await userWithCredits(service, 1000);
    const declared = { modelId: 'm', inputTokens: 1000, maxOutputTokens: 4000 };
    const before = await metrics();
    const counted = (text: string, name: string) => value(text, name) - value(before, name);
    await initialize(user, 'estimated');
    for (const sessionId of ['declared', 'declared'])
      await user.post('/api/streaming-sessions/initialize', { ...declared, sessionId });
    await user.post('/api/streaming-sessions/progress', { sessionId: 'estimated', tokensGenerated: 5000 });
    await user.post('/api/streaming-sessions/finalize', { sessionId: 'estimated', actualTokens: 5000 });
    await user.post('/api/streaming-sessions/finalize', {
      sessionId: 'declared',
      inputTokens: 500,
      outputTokens: 500,
    });
    const text = await metrics();
    for (const [source, grown] of [
      ['caller', 1],
      ['ceiling', 0],
      ['learned', 0],
    ] as const) {
      const label = `{estimate_source="${source}"}`;
      expect(counted(text, `accounting_holds_total${label}`)).toBe(source === 'learned' ? 0 : 1);
      expect(counted(text, `accounting_holds_grown_total${label}`)).toBe(grown);
    }
    // 4 of 15, and 5 of 1.
    expect(counted(text, 'accounting_hold_cost_ratio_bucket{le="0.5",estimate_source="caller"}')).toBe(1);
    expect(counted(text, 'accounting_hold_cost_ratio_sum{estimate_source="ceiling"}')).toBe(5);
  });

  it('shows what the last audit found, and nothing before there was one', async () => {
    const fresh = await service.another();
    expect(await metrics(fresh)).not.toMatch(/^accounting_audit/m);
    const root = fresh.as('root', { role: 'admin' });
    const begun = Date.now() / 1000;
    await root.get('/api/credits/audit');
    let text = await metrics(fresh);
    expect(value(text, 'accounting_audit_differences')).toBe(0);
    expect(value(text, 'accounting_audit_timestamp_seconds')).toBeGreaterThanOrEqual(begun);
    const { userId } = await userWithCredits(fresh, 10);
    const spoil = (by: number) =>
      fresh.owner.query('UPDATE credit_balances SET available = available + $2 WHERE account_id = $1', [
        userId,
        by,
      ]);
    await spoil(1);
    await root.get('/api/credits/audit');
    text = await metrics(fresh);
    expect(value(text, 'accounting_audit_differences')).toBeGreaterThan(0);
    await spoil(-1);
    // Whichever instance was asked, or npm run audit, and not what was found in one account.
    await service.get(CreditsAuditService).audit(userId);
    expect(value(await metrics(fresh), 'accounting_audit_differences')).toBeGreaterThan(0);
    await service.get(CreditsAuditService).audit();
    for (const instance of [fresh, service])
      expect(value(await metrics(instance), 'accounting_audit_differences')).toBe(0);
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

  it('makes no series at the will of a caller', async () => {
    const series = async () =>
      (await metrics()).split('\n').filter((line) => line.includes('_count{')).length;
    const ask = (method: string, path: string) =>
      new Promise<void>((done, fail) => {
        const headers = { host: 'x'.repeat(20), 'x-request-id': path.slice(1, 9) };
        request(`${service.url}${path}`, { method, headers }, (answer) => {
          answer.resume().once('end', done);
        })
          .once('error', fail)
          .end();
      });
    const round = async (name: string) => {
      for (const method of ['GET', 'PUT', 'PROPFIND', 'REPORT', 'M-SEARCH', 'SEARCH', 'LINK']) {
        for (const path of [`/${name}`, `/api/${name}/x`, `/api/pricing/${name}`, `/api/docs/${name}`]) {
          await ask(method, path);
        }
      }
    };
    await round('first-names');
    const before = await series();
    for (let index = 0; index < 5; index++) await round(`other-names-${index}`);
    expect(await series()).toBe(before);
    const text = await metrics();
    expect(text).toContain('method="other",route="none"');
    expect(text).not.toMatch(/other-names|PROPFIND/);
  });

  it('reads only indexes of what is open, however much has passed', async () => {
    const { userId } = await userWithCredits(service, 100);
    await service.owner.query(
      `INSERT INTO streaming_sessions (session_id, account_id, user_id, model_id, estimated_credits, allocated_credits, status,
         end_reason, pricing_rule_id, pricing_source, held_lots, held_credits, remaining_after_hold, started_at,
         expires_at, completed_at, first_hold)
       SELECT 'past-' || n, $1, $1, 'm', 1, 1, 'completed', 'finalized', 1, 'default', '{}', '{}', 0, now(), now(), now(), 1
         FROM generate_series(1, 20000) n`,
      [userId],
    );
    await service.owner.query(
      `INSERT INTO usage_records (account_id, user_id, service, operation, credits, billing_status)
       SELECT $1, $1, 'chat', 'm', 0, 'recorded' FROM generate_series(1, 20000)`,
      [userId],
    );
    await service.owner.query(
      `INSERT INTO credit_allocations (account_id, total_credits, remaining_credits, allocated_by, expires_at, is_open)
       SELECT $1, 1, 0, 'boss', now(), false FROM generate_series(1, 20000)`,
      [userId],
    );
    await service.owner.query('VACUUM ANALYZE streaming_sessions, usage_records, credit_allocations');
    const { rows } = await service.owner.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN (ANALYZE, BUFFERS) ${STATE.text}`,
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    for (const table of ['streaming_sessions', 'usage_records', 'credit_allocations']) {
      expect(plan).not.toContain(`Seq Scan on ${table}`);
    }
    // Buffers of the whole statement stand in its first lines.
    const blocks = Number(/shared hit=(\d+)/.exec(plan)?.[1]);
    expect(blocks, plan).toBeLessThan(100);
    await service.owner.query('DELETE FROM streaming_sessions WHERE account_id = $1', [userId]);
  });

  it('says that the database is down, in time, and reports nothing old', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const cut = await service.another({ DATABASE_URL: proxy.url, DB_CONNECT_TIMEOUT_MS: '300' });
    expect(value(await metrics(cut), 'accounting_database_up')).toBe(1);
    proxy.cut();
    const text = await metrics(cut);
    expect(text).toContain('process_cpu_seconds_total');
    expect(value(text, 'accounting_database_up')).toBe(0);
    expect(text).not.toMatch(/^accounting_(held_credits|review_queue|\w+_lag_seconds) /m);
    proxy.restore();
    await expect.poll(async () => value(await metrics(cut), 'accounting_database_up')).toBe(1);
    await cut.close();
    await proxy.close();
  });

  it('has one statement under way however many scrapes wait, and keeps none of them long', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const slow = await service.another({ DATABASE_URL: proxy.url, DB_STATEMENT_TIMEOUT_MS: '6000' });
    await metrics(slow);
    proxy.taken();
    const holder = await service.owner.connect();
    await holder.query('BEGIN; LOCK TABLE usage_quarantine IN ACCESS EXCLUSIVE MODE');
    const begun = Date.now();
    const texts = await Promise.all(Array.from({ length: 30 }, () => metrics(slow)));
    texts.push(await metrics(slow));
    expect(Date.now() - begun).toBeLessThan(6000);
    for (const text of texts) expect(value(text, 'accounting_database_up')).toBe(0);
    expect(proxy.taken()).toEqual(['metrics_state']);
    expect(
      value(texts.at(-1) as string, 'accounting_database_pool_connections{pool="other",state="busy"}'),
    ).toBe(1);
    await holder.query('ROLLBACK');
    holder.release();
    await expect.poll(async () => value(await metrics(slow), 'accounting_database_up')).toBe(1);
    await slow.close();
    await proxy.close();
  });

  it('401: with METRICS_TOKEN only callers that show it get them', async () => {
    const closed = await service.another({ METRICS_TOKEN: 'token-of-the-scraper' });
    expect((await closed.anonymous().get('/metrics')).status).toBe(401);
    const wrong = await closed.anonymous().get('/metrics', { authorization: 'Bearer another-token' });
    expect([wrong.status, wrong.body.code]).toEqual([401, 'auth.invalid_token']);
    await metrics(closed, { authorization: 'Bearer token-of-the-scraper' });
    await closed.close();
  });

  it('404 where METRICS_ACCESS is off, and for Swagger UI and the document where API_DOCS is', async () => {
    const closed = await service.another({ METRICS_ACCESS: 'off', API_DOCS: 'off' });
    const authorization = 'Bearer anything';
    for (const path of ['/metrics', '/api/docs', '/api/docs/', '/api/docs-json', '/api/docs-yaml']) {
      const answer = await closed.anonymous().get(path, { authorization });
      expect([path, answer.status, answer.body.code]).toEqual([path, 404, 'route.not_found']);
      expect((await service.anonymous().get(path)).status).toBe(200);
    }
    await closed.close();
  });
});
