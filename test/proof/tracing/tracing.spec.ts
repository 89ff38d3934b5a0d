import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../../support/http-client.js';
import { times, userWithCredits } from '../../support/money.js';
import { OtlpReceiver, type ReceivedSpan } from '../../support/otlp-receiver.js';
import { compileService } from '../../support/service-process.js';
import { startService, type TestService } from '../../support/service.js';
import { SECRET } from '../../support/tokens.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const SERVER = 2;
const CLIENT = 3;

let direct: TestService;
let receiver: OtlpReceiver;
let service: TestService;
let user: HttpClient;
beforeAll(async () => {
  direct = await startService();
  user = await userWithCredits(direct, 1_000_000);
});
afterAll(() => direct.close());

async function traced(): Promise<void> {
  receiver = await new OtlpReceiver().start();
  service = await direct.another({ OTEL_EXPORTER_OTLP_ENDPOINT: `${receiver.url}/` });
  user = service.as(user.userId);
  await user.get('/api/credits/balance');
}
afterEach(async () => {
  await receiver?.stop();
});

const spansOf = (trace: string) => receiver.spans.filter(({ traceId }) => traceId === trace);
const named = (spans: ReceivedSpan[], name: string) =>
  spans.find((span) => span.name === name) as ReceivedSpan;

describe('traces', () => {
  it("are the caller's: a span for each request by its route, and one for each statement below it", async () => {
    await traced();
    const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };
    const session = { sessionId: 'traced-session', modelId: 'traced-model', estimatedTokens: 10 };
    expect((await user.post('/api/streaming-sessions/initialize', session, headers)).status).toBe(201);
    const finished = { sessionId: 'traced-session', actualTokens: 5 };
    expect((await user.post('/api/streaming-sessions/finalize', finished, headers)).status).toBe(200);
    expect((await user.get('/api/credits/balance/another', headers)).status).toBe(403);
    await service.anonymous().get('/nothing/of/this', headers);
    await service.anonymous().get('/health', headers);
    // Closing sends what has not been sent, and then waits for nothing.
    const closing = Date.now();
    await service.close();
    expect(Date.now() - closing).toBeLessThan(2500);
    const spans = spansOf(TRACE);
    const requests = spans.filter(({ kind }) => kind === SERVER);
    expect(requests.map(({ name }) => name).sort()).toEqual([
      'GET',
      'GET /api/credits/balance/:userId',
      'POST /api/streaming-sessions/finalize',
      'POST /api/streaming-sessions/initialize',
    ]);
    for (const request of requests) expect(request.parentSpanId).toBe(PARENT);
    const started = named(spans, 'POST /api/streaming-sessions/initialize');
    expect(started.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/api/streaming-sessions/initialize',
      'http.response.status_code': 201,
      'enduser.pseudo.id': expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    const hold = named(spans, 'session_hold');
    expect([hold.kind, hold.parentSpanId]).toEqual([CLIENT, started.spanId]);
    expect(hold.attributes).toMatchObject({
      'db.system.name': 'postgresql',
      'db.operation.name': 'session_hold',
    });
    expect(hold.attributes['accounting.pool_wait_ms']).toBeGreaterThanOrEqual(0);
    expect(named(spans, 'session_settle').parentSpanId).toBe(
      named(spans, 'POST /api/streaming-sessions/finalize').spanId,
    );
    for (const content of [
      user.userId,
      'traced-session',
      'traced-model',
      'another',
      'of/this',
      SECRET,
      'eyJ',
    ]) {
      expect(receiver.text).not.toContain(content);
    }
  });

  it('are named in the log lines of their requests, also in those about a fault', async () => {
    await traced();
    const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };
    await service.owner.query('ALTER FUNCTION session_hold RENAME TO session_hold_gone');
    const failed = await user.post(
      '/api/streaming-sessions/initialize',
      { sessionId: 'fails', modelId: 'm', estimatedTokens: 10 },
      headers,
    );
    await service.owner.query('ALTER FUNCTION session_hold_gone RENAME TO session_hold');
    expect(failed.status).toBe(500);
    const lines = service.logs.filter((line) => line.requestId === failed.body.requestId);
    expect(lines.length).toBeGreaterThan(1);
    await service.close();
    const span = named(spansOf(TRACE), 'POST /api/streaming-sessions/initialize');
    for (const line of lines) expect(line).toMatchObject({ trace_id: TRACE, span_id: span.spanId });
    expect(span.status.code).toBe(2);
    expect(named(spansOf(TRACE), 'session_hold').attributes['error.type']).toBe('42883');
  });

  it.each([undefined, 'garbage', `00-${'0'.repeat(32)}-${PARENT}-01`, `ff-${TRACE}-${PARENT}-01`])(
    'begin here where the caller has none: %s',
    async (traceparent) => {
      await traced();
      await user.get('/api/pricing', traceparent === undefined ? {} : { traceparent });
      await service.close();
      const span = named(receiver.spans, 'GET /api/pricing');
      expect(span.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
      expect(span.traceId).not.toBe(TRACE);
      expect(span.parentSpanId ?? '').toBe('');
    },
  );

  it('are not made where the caller does not sample', async () => {
    await traced();
    await user.get('/api/pricing', { traceparent: `00-${TRACE}-${PARENT}-00` });
    await service.close();
    expect(spansOf(TRACE)).toEqual([]);
  });
});

describe('a receiver of traces in trouble', () => {
  it.each(['hangs', 'fails', 'is away'] as const)(
    'that %s costs no request and little time, and the stop is in time',
    async (trouble) => {
      await traced();
      if (trouble === 'is away') await receiver.stop();
      else receiver.mode = trouble;
      const begun = Date.now();
      for (let round = 0; round < 5; round++) {
        const answers = await times(20, () => user.get('/api/credits/balance'));
        expect(answers.every(({ status }) => status === 200)).toBe(true);
      }
      const plain = direct.as(user.userId);
      const withTraces = Date.now() - begun;
      const again = Date.now();
      for (let round = 0; round < 5; round++) await times(20, () => plain.get('/api/credits/balance'));
      expect(withTraces).toBeLessThan((Date.now() - again) * 5 + 1000);
      const closing = Date.now();
      await service.close();
      expect(Date.now() - closing).toBeLessThan(6000);
      if (trouble === 'is away') receiver = await new OtlpReceiver().start();
    },
  );

  it('keeps a bounded number of spans: what comes beyond is dropped', async () => {
    await traced();
    receiver.mode = 'hangs';
    // Two spans for each.
    for (let round = 0; round < 50; round++) await times(50, () => user.get('/api/credits/balance'));
    receiver.mode = 'answers';
    receiver.spans.length = 0;
    await service.close();
    expect(receiver.spans.length).toBeGreaterThan(0);
    expect(receiver.spans.length).toBeLessThanOrEqual(2048);
  });
});

describe('without OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  it('no part of OpenTelemetry is loaded, and with it those that send', async () => {
    const compiled = await compileService();
    const probe = join(compiled.directory, 'probe.mjs');
    const list = join(compiled.directory, 'loaded.json');
    await writeFile(
      probe,
      `import { createRequire } from 'node:module';
       import { writeFileSync } from 'node:fs';
       const { cache } = createRequire(import.meta.url);
       process.on('exit', () => writeFileSync(${JSON.stringify(list)}, JSON.stringify(Object.keys(cache))));`,
    );
    const loaded = async (env: Record<string, string>) => {
      const running = await compiled.start({
        NODE_OPTIONS: `--import=${probe}`,
        DATABASE_URL: direct.databaseUrl,
        JWT_ACCESS_SECRET: SECRET,
        ...env,
      });
      expect(await running.stop()).toBe(0);
      const files = JSON.parse(await readFile(list, 'utf8')) as string[];
      expect(files.length).toBeGreaterThan(100);
      // The metrics' library uses the types of the API.
      return files.filter((file) => /@opentelemetry\/(?!api\/)/.test(file));
    };
    expect(await loaded({})).toEqual([]);
    receiver = await new OtlpReceiver().start();
    const all = await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    expect(all.some((file) => file.includes('exporter-trace-otlp-http'))).toBe(true);
    await compiled.remove();
  });
});
