import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { countByStatus, initialize, SONNET, times, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { INTERNAL_KEY, startService, type TestService } from '../support/service.js';
import { accessToken } from '../support/tokens.js';

let service: TestService;
beforeAll(async () => {
  service = await startService({ CORS_ORIGIN: 'https://app.example.com,https://admin.example.com' });
});
afterAll(() => service.close());

describe('GET /health and /api/health', () => {
  it.each(['/health', '/api/health'])('%s says what is running, to anyone', async (path) => {
    const answer = await service.anonymous().get(path);
    expect(answer.body).toEqual({
      status: 'ok',
      service: 'accounting-service',
      version: (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version,
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
    });
  });

  it('/health/ready is 503 when a migration of this release is missing', async () => {
    const client = service.anonymous();
    expect((await client.get('/health/ready')).status).toBe(200);
    await service.owner.query(`UPDATE migrations SET name = 'x' || name`);
    const ready = async () => (await client.get('/health/ready')).status;
    // An answer is kept for a second.
    await expect.poll(ready, { timeout: 5000 }).toBe(503);
    await service.owner.query('UPDATE migrations SET name = substr(name, 2)');
    await expect.poll(ready, { timeout: 5000 }).toBe(200);
  });
});

it('/health/ready is 503 where the database cannot be written to', async () => {
  const readOnly = await service.another({
    DATABASE_URL: `${service.databaseUrl}&options=-c%20default_transaction_read_only%3Don`,
  });
  expect((await readOnly.anonymous().get('/health/ready')).status).toBe(503);
  await readOnly.close();
});

describe('a connection that is silent', () => {
  const SILENCE_MILLISECONDS = 300;
  let strict: TestService;
  beforeAll(async () => {
    strict = await service.another();
    strict.app.getHttpServer().setTimeout(SILENCE_MILLISECONDS);
  });
  afterAll(() => strict.close());

  it('stays while its request is worked on, however long that takes', async () => {
    const lock = await service.owner.connect();
    await lock.query('BEGIN; LOCK credit_ledger IN ACCESS EXCLUSIVE MODE');
    const audit = strict.as('root', { role: 'admin' }).get('/api/credits/audit');
    await Promise.all([
      expect(audit).resolves.toMatchObject({ status: 200 }),
      pause(5 * SILENCE_MILLISECONDS).then(() => lock.query('ROLLBACK')),
    ]).finally(() => lock.release());
  });

  it('ends before its request has come in full', async () => {
    const { port } = new URL(strict.url);
    const client = connect(Number(port), '127.0.0.1');
    const head = `Authorization: Bearer ${accessToken({ sub: 'slow' })}\r\nContent-Type: application/json\r\nContent-Length: 9`;
    client.write(`POST /api/credits/check HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n{`);
    const begun = performance.now();
    await once(client.resume(), 'close');
    expect(performance.now() - begun).toBeLessThan(20 * SILENCE_MILLISECONDS);
  });
});

describe('rate limit', () => {
  let limited: TestService;
  beforeAll(async () => {
    limited = await service.another({ RATE_LIMIT_MAX: '5', RATE_LIMIT_WINDOW_SECONDS: '60' });
  });
  afterAll(() => limited.close());
  const ask = (client: HttpClient) => client.get('/api/credits/balance');

  it('429 with Retry-After for the caller who is over it, and for no one else', async () => {
    const [busy, calm] = [limited.as(), limited.as()];
    expect(countByStatus(await times(8, () => ask(busy)))).toEqual({ 200: 5, 429: 3 });
    const refused = await ask(busy);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limit.exceeded']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
    expect((await ask(calm)).status).toBe(200);
    // By caller, not by token: another token of the same user is the same caller.
    expect((await ask(limited.as(busy.userId, { username: 'renamed' }))).status).toBe(429);
  });

  it('counts the requests of all routes together', async () => {
    const user = limited.as();
    const paths = ['/api/credits/balance', '/api/usage/stats'];
    const answers = await times(8, (index) => user.get(paths[index % 2] as string));
    expect(countByStatus(answers)).toEqual({ 200: 5, 429: 3 });
  });

  it('counts callers without valid credentials by address, and a bad token with them', async () => {
    const anonymous = limited.anonymous();
    const answers = await times(8, (index) =>
      anonymous.get('/api/credits/balance', index % 2 ? { authorization: 'Bearer x.y.z' } : {}),
    );
    expect(countByStatus(answers)).toEqual({ 401: 5, 429: 3 });
  });

  it.each([
    ...['/metrics', '/api/unknown', '/elsewhere', '/api/api-keys/%ff', '/console/assets/unknown.js'],
    ...['/api/docs-json', '/api/docs/'],
  ])('counts %s by address, together with what else strangers ask for', async (path) => {
    const apart = await service.another({ RATE_LIMIT_MAX: '5' });
    const stranger = apart.anonymous();
    expect((await stranger.get('/api/credits/balance')).status).toBe(401);
    const answers = await times(7, () => stranger.get(path));
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(3);
    expectProblem(await stranger.get(path), 429, { code: 'rate_limit.exceeded' });
    await apart.close();
  });

  it('lets two Prometheus read the metrics every second', async () => {
    const byDefault = await service.another({ RATE_LIMIT_MAX: '', RATE_LIMIT_WINDOW_SECONDS: '' });
    const scrapes = await times(2 * 60, () => byDefault.anonymous().get('/metrics'));
    expect(countByStatus(scrapes)).toEqual({ 200: 120 });
    await byDefault.close();
  });

  it('never counts trusted services, also with a forwarded token, nor health', async () => {
    const { userId } = await userWithCredits(service, 1);
    const token = { authorization: `Bearer ${accessToken({ sub: userId })}` };
    for (const headers of [{}, token]) {
      const balance = () => limited.internal(headers).get(`/api/credits/balance?userId=${userId}`);
      expect(countByStatus(await times(20, balance))).toEqual({ 200: 20 });
    }
    // What they did has used up nothing of the user's.
    expect((await ask(limited.as(userId))).headers.get('x-ratelimit-remaining')).toBe('4');
    expect(countByStatus(await times(20, () => limited.anonymous().get('/health')))).toEqual({ 200: 20 });
    expect(countByStatus(await times(20, () => limited.anonymous().get('/health/ready')))).toEqual({
      200: 20,
    });
  });
});

describe('logs', () => {
  // An application of its own: the framework's logger belongs to the one that was created last.
  let logging: TestService;
  beforeAll(async () => {
    logging = await startService();
  });
  afterAll(() => logging.close());

  it('contain id, path, status and caller of each request, and nothing secret', async () => {
    const user = await userWithCredits(logging, 100);
    const token = accessToken({ sub: user.userId });
    logging.logs.length = 0;
    await initialize(user, 'session-in-a-body');
    await logging.internal().get(`/api/credits/balance?userId=${user.userId}&secret=in-a-query`);
    await logging.anonymous().get('/api/credits/balance', { authorization: `Bearer ${token}` });
    await logging.anonymous().get('/api/credits/balance', { 'x-internal-api-key': 'wrong-key-0123456789' });
    await user.post('/api/credits/check', '{"requiredCredits": "text-in-a-bad-body"');
    const requests = logging.logs.filter(({ msg }) => msg === 'request');
    expect(requests[0]).toMatchObject({
      method: 'POST',
      path: '/api/streaming-sessions/initialize',
      status: 201,
      caller: user.userId,
      requestId: expect.any(String) as string,
      milliseconds: expect.any(Number) as number,
    });
    expect(requests).toHaveLength(5);
    const key = `ak_${'k'.repeat(43)}`;
    for (const path of [
      key,
      `sk-${key}`,
      token,
      `a%6b_${'k'.repeat(43)}`,
      `a%256b_${'k'.repeat(43)}`,
      `%2525256%31k_${'k'.repeat(43)}`,
      `whsec_${'s'.repeat(32)}=`,
    ]) {
      await user.get(`/api/credits/balance/${path}`);
      await user.get(`/api/nothing/${path}/further?key=${path}`);
    }
    expect(logging.logs.at(-1)).toMatchObject({ path: '/api/nothing/whsec_…' });
    await user.get(`/api/nothing/%ff/%61k_${'k'.repeat(43)}`);
    const answer = await user.get('/api/credits/balance', { 'x-request-id': key });
    expect(answer.headers.get('x-request-id')).not.toBe(key);
    expect(JSON.stringify(logging.logs)).not.toMatch(/k{43}|s{32}/);
    const all = JSON.stringify(logging.logs);
    for (const secret of [token, token.split('.')[2] as string, INTERNAL_KEY, 'wrong-key-0123456789']) {
      expect(all).not.toContain(secret);
    }
    for (const content of ['session-in-a-body', 'in-a-query', 'text-in-a-bad-body', SONNET]) {
      expect(all).not.toContain(content);
    }
  });

  it('name the cause of a fault under the id that the caller got, and the caller sees nothing of it', async () => {
    const user = await userWithCredits(logging, 100);
    await logging.owner.query('ALTER FUNCTION session_hold RENAME TO session_hold_gone');
    const answer = await initialize(user, 's');
    await logging.owner.query('ALTER FUNCTION session_hold_gone RENAME TO session_hold');
    expect([answer.status, answer.body.code]).toEqual([500, 'internal']);
    expect(answer.text).not.toMatch(/session_hold|function|stack/);
    const line = logging.logs.find(({ requestId, cause }) => requestId === answer.body.requestId && cause);
    expect(line?.cause).toMatch(/session_hold/);
  });

  it('name the path of an absolute address, and not what stands before it', async () => {
    for (const origin of ['http://me:password@evil.example', 'HTTP://me:pass%20word@evil.example:99']) {
      for (const path of ['/api/nothing', '?a', '']) {
        request(logging.url, { path: origin + path })
          .end()
          .once('response', (response) => response.resume());
        const logged = path.startsWith('/') ? path : '/';
        await expect.poll(() => logging.logs.at(-1)).toMatchObject({ msg: 'request', path: logged });
        logging.logs.length = 0;
      }
    }
  });

  it("keep the caller's request id when it is one, and make one when it is not", async () => {
    const client = logging.anonymous();
    const given = await client.get('/health', { 'x-request-id': 'from-the-gateway_1' });
    expect(given.headers.get('x-request-id')).toBe('from-the-gateway_1');
    for (const bad of ['x', 'a b c d e f g h', 'x'.repeat(65), '"},{"a":"b']) {
      const made = await client.get('/api/credits/balance', { 'x-request-id': bad });
      expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(made.body.requestId).toBe(made.headers.get('x-request-id'));
    }
  });
});

describe('a slow client', () => {
  let limited: TestService;
  beforeAll(async () => {
    limited = await service.another({ REQUEST_TIMEOUT_SECONDS: '1' });
  });
  afterAll(() => limited.close());

  it.each([
    ['headers', 'POST /api/credits/check HTTP/1.1\r\nHost: x\r\nX-Slow: '],
    [
      'a body',
      `POST /api/credits/check HTTP/1.1\r\nHost: x\r\nX-Internal-API-Key: ${INTERNAL_KEY}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"re`,
    ],
  ])('that never finishes its %s is cut off in time', async (_, beginning) => {
    const begun = Date.now();
    const socket = connect(Number(new URL(limited.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(beginning);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await new Promise((closed) => socket.once('close', closed));
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
    expect(Date.now() - begun).toBeLessThan(5000);
  });
});

describe('browsers', () => {
  it('may call from the configured origins only', async () => {
    const preflight = (origin: string) =>
      fetch(`${service.url}/api/credits/balance`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'GET' },
      });
    const allowed = await preflight('https://admin.example.com');
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://admin.example.com');
    expect(allowed.headers.get('access-control-allow-headers')).toContain('Idempotency-Key');
    expect(allowed.headers.get('access-control-allow-headers')).toContain('Last-Event-ID');
    expect(allowed.headers.get('access-control-expose-headers')).toContain('X-RateLimit-Remaining');
    expect(allowed.headers.get('access-control-max-age')).toBe('600');
    // A browser never holds the key of a trusted service.
    expect(allowed.headers.get('access-control-allow-headers')).not.toContain('X-Internal-API-Key');
    const other = await preflight('https://evil.example.com');
    expect(other.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('may send every header of the document and read every one that an answer has', async () => {
    interface Described {
      parameters?: { in: string; name: string }[];
      responses: Record<string, { headers?: object }>;
    }
    const document = JSON.parse(readFileSync('openapi.json', 'utf8')) as {
      paths: Record<string, Record<string, Described>>;
    };
    const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
    const sent = operations.flatMap(({ parameters = [] }) =>
      parameters.filter((parameter) => parameter.in === 'header').map(({ name }) => name),
    );
    const answered = operations.flatMap(({ responses }) =>
      Object.values(responses).flatMap(({ headers = {} }) => Object.keys(headers)),
    );
    const { headers } = await fetch(`${service.url}/api/credits/balance`, {
      method: 'OPTIONS',
      headers: { origin: 'https://admin.example.com', 'access-control-request-method': 'POST' },
    });
    const allowed = headers.get('access-control-allow-headers')?.split(',') ?? [];
    expect(allowed).toEqual(expect.arrayContaining([...new Set(sent), 'Authorization', 'X-API-Key']));
    const exposed = headers.get('access-control-expose-headers')?.split(',') ?? [];
    const always = ['Allow', 'WWW-Authenticate', 'X-Request-Id'];
    expect(exposed).toEqual(expect.arrayContaining([...new Set(answered), ...always]));
    expect(answered).toEqual(expect.arrayContaining(['Retry-After', 'Idempotency-Replayed']));
  });

  it('can read refusals, too: of a route, of a method and of credentials', async () => {
    const headers = { origin: 'https://admin.example.com' };
    for (const [method, path, status] of [
      ['GET', '/api/nothing', 404],
      ['DELETE', '/api/credits/balance', 405],
      ['GET', '/api/credits/balance', 401],
    ] as const) {
      const answer = await fetch(service.url + path, { method, headers });
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([
        status,
        headers.origin,
      ]);
      expect(answer.headers.get('access-control-expose-headers')).toContain('Retry-After');
    }
  });

  it('get the protective headers, and none that names the software', async () => {
    const { headers } = await service.anonymous().get('/health');
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('strict-transport-security')).toBeTruthy();
    expect(headers.get('x-powered-by')).toBeNull();
  });

  it('keep no answer: neither data, nor errors, nor a key that is shown once', async () => {
    const user = await userWithCredits(service, 1);
    for (const answer of [
      await user.get('/api/credits/balance'),
      await user.post('/api/api-keys', { name: 'k' }),
      await user.get('/api/credits/audit'),
      await service.anonymous().get('/nothing'),
    ]) {
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
  });
});

it.each(Object.keys((JSON.parse(readFileSync('openapi.json', 'utf8')) as { paths: object }).paths))(
  '%s is another path in another case',
  async (path) => {
    const other = path.replace(/\{\w+\}/g, '1').toUpperCase();
    const admin = service.as(undefined, { role: 'admin' });
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await admin.send(method, other, undefined, {});
      expect([method, answer.status, answer.body]).toMatchObject([method, 404, { code: 'route.not_found' }]);
    }
  },
);

describe('405', () => {
  /** Sends what `fetch` does not send. */
  const send = (method: string, path: string) =>
    new Promise<{ status?: number; allow?: string; text: string }>((done, fail) => {
      const headers = { 'x-api-key': 'ak_never-shown' };
      request(service.url + path, { method, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('end', () =>
          done({ status: response.statusCode, allow: response.headers.allow, text }),
        );
      })
        .once('error', fail)
        .end();
    });

  it.each(['TRACE', 'PROPFIND', 'DELETE', 'POST'])(
    '%s of a path that is only read: TRACE would give the request back with its secrets',
    async (method) => {
      const { status, allow, text } = await send(method, '/api/credits/balance?userId=alice');
      expect([status, allow]).toEqual([405, 'GET, HEAD']);
      expect(JSON.parse(text)).toMatchObject({ code: 'request.method_not_allowed', status: 405 });
      expect(text).not.toContain('ak_never');
    },
  );

  it('names the methods of all routes of the path', async () => {
    expect(await send('PUT', '/api/pricing/7')).toMatchObject({ status: 405, allow: 'DELETE, GET, HEAD' });
    expect(await send('GET', '/api/credits/check')).toMatchObject({ status: 405, allow: 'POST' });
    expect(await send('HEAD', '/api/credits/check')).toEqual({ status: 405, allow: 'POST', text: '' });
    expect(await send('TRACE', '/api/nothing')).toMatchObject({ status: 404, allow: undefined });
    expect(await send('GET', '/api/dev/token')).toMatchObject({ status: 404, allow: undefined });
  });
});

describe('GET /api/docs', () => {
  it('loads only what its own content security policy allows', async () => {
    const page = await service.anonymous().get('/api/docs/');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    const scripts = [...page.text.matchAll(/<script[^>]*>([^<]*)</g)];
    expect(scripts.length).toBeGreaterThan(0);
    expect(scripts.map(([, inline]) => inline?.trim())).toEqual(scripts.map(() => ''));
    const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file as string);
    for (const file of files) {
      expect(file).toMatch(/^\.\/|^\/api\/docs/);
      const asset = await fetch(new URL(file, `${service.url}/api/docs/`));
      expect([file, asset.status]).toEqual([file, 200]);
      await asset.arrayBuffer();
    }
  });

  it('serves its document whatever strangers asked for before', async () => {
    const fresh = await service.another();
    for (const path of ['/api/docs-json', '/api/docs-yaml']) {
      expect((await fetch(fresh.url + path, { method: 'POST' })).status).toBe(405);
      expect((await fetch(`${fresh.url}${path}/x`)).status).toBe(404);
      expect((await fetch(fresh.url + path, { method: 'HEAD' })).status).toBe(200);
      for (const time of ['first', 'again']) {
        const answer = await fetch(fresh.url + path);
        expect([path, time, answer.status]).toEqual([path, time, 200]);
        expect(await answer.text()).toContain('LLM accounting service');
      }
      expect((await fetch(`${fresh.url}${path}/x`)).status).toBe(404);
    }
    await fresh.close();
  });

  it('serves the document that is committed, for the server it is on', async () => {
    const served = await service.anonymous().get('/api/docs-json');
    const committed = JSON.parse(readFileSync('openapi.json', 'utf8')) as object;
    expect(served.body).toEqual({ ...committed, servers: [{ url: '/' }] });
  });
});

describe('the OpenAPI document', () => {
  interface Operation {
    operationId?: string;
    summary?: string;
    tags?: string[];
    security?: object[];
    requestBody?: { content: Record<string, { schema?: object; example?: unknown; examples?: object }> };
    responses: Record<
      string,
      {
        description: string;
        content?: Record<string, { schema?: object; example?: unknown; examples?: object }>;
      }
    >;
  }
  const document = JSON.parse(readFileSync('openapi.json', 'utf8')) as {
    paths: Record<string, Record<string, Operation>>;
  };
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method} ${path}`, path, operation })),
  );

  it.each(operations)('$name is complete', ({ path, operation }) => {
    expect(operation.summary).toBeTruthy();
    expect(operation.operationId).toBeTruthy();
    expect(operation.tags).toHaveLength(1);
    // The metrics have their own guard, a token of their own in place of a user's.
    const isPublic = path.includes('health') || path === '/metrics';
    expect(operation.security?.length === 0).toBe(isPublic);
    const statuses = Object.keys(operation.responses);
    if (!isPublic) expect(statuses).toEqual(expect.arrayContaining(['401', '403', '429', '503']));
    if (operation.requestBody) expect(statuses).toEqual(expect.arrayContaining(['400', '413', '415']));
    const bodies = [operation.requestBody, ...Object.values(operation.responses)];
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      expect(description, status).toBeTruthy();
      if (status !== '204') expect(content, status).toBeDefined();
    }
    for (const media of bodies.flatMap((body) => Object.values(body?.content ?? {}))) {
      expect(media.schema).toBeDefined();
      expect(media.example ?? media.examples).toBeDefined();
    }
  });
});

it.each(['/api/nothing', '/nothing', '/', '/api'])(
  '404 in the same form for %s, which is no route',
  async (path) => {
    for (const answer of [
      await service.anonymous().get(path),
      await service.anonymous().post(path, 'no json'),
    ]) {
      expect([404, 400]).toContain(answer.status);
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(answer.body.requestId).toBeTruthy();
    }
  },
);
