import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleService, startConsole } from '../../support/console.js';
import { HttpClient } from '../../support/http-client.js';
import { type CompiledService, compileService, type ServiceProcess } from '../../support/service-process.js';

/** So few that the console's own files would use them up, if they were counted. */
const RATE_LIMIT = 20;

let service: ConsoleService;
/** Compiled without the console. */
let bare: CompiledService;
let directory: string;
beforeAll(async () => {
  service = await startConsole({ RATE_LIMIT_MAX: String(RATE_LIMIT), NODE_ENV: 'production' });
  bare = await compileService();
  directory = await mkdtemp(join(tmpdir(), 'console-'));
});
afterAll(async () => {
  await bare.remove();
  await rm(directory, { recursive: true });
  await service.close();
});

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(service.url + path, { headers, method, redirect: 'manual' });

/** The path goes out as it is; fetch would put it in order first. */
const raw = (path: string, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; text: string }>((done, fail) => {
    const { hostname, port } = new URL(service.url);
    const asked = request({ hostname, port, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => done({ status: response.statusCode as number, text }));
    });
    asked.on('error', fail).end();
  });

/** Starts the bare service on the same database, with a secret that it makes itself. */
const startBare = (env: Record<string, string> = {}): Promise<ServiceProcess> =>
  bare.start({
    DATABASE_URL: service.direct.databaseUrl,
    EMBEDDED_POSTGRES_DIR: join(directory, 'postgres'),
    SWEEP_INTERVAL_SECONDS: '0',
    LOG_LEVEL: 'warn',
    ...env,
  });

describe('the files of the console', () => {
  const assetsOf = async () =>
    [...(await (await get('/console')).text()).matchAll(/"(\/console\/assets\/[^"]+)"/g)].map(
      ([, path]) => path as string,
    );

  it('answer the page at every address of it, also at those with dots, and need no token', async () => {
    for (const path of [
      '/console',
      '/console/',
      '/console/users/a.b%40example.com',
      '/console/prices/anthropic.claude-3%2Fv1',
      '/console/users/x?days=7',
    ]) {
      const answer = await get(path);
      expect([path, answer.status, answer.headers.get('content-type')]).toEqual([
        path,
        200,
        'text/html; charset=utf-8',
      ]);
      expect(answer.headers.get('cache-control')).toBe('no-cache');
    }
  });

  it('come with a content security policy that allows files of this service alone, and nothing inline', async () => {
    const { headers } = await get('/console');
    const policy = headers.get('content-security-policy') ?? '';
    for (const directive of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      expect(policy.split('; ')).toContain(directive);
    }
    expect(policy).not.toMatch(/unsafe|data:|blob:|\*|https?:/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('x-frame-options')).toBe('DENY');
    const page = await (await get('/console')).text();
    expect(page).not.toMatch(/<style|style=|<script(?![^>]*src=)| on\w+=/);
  });

  it('are kept for ever when their name contains the hash of their content, and are sent again only when they changed', async () => {
    const assets = await assetsOf();
    expect(assets.length).toBeGreaterThanOrEqual(2);
    for (const path of assets) {
      const answer = await get(path);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    }
    const etag = (await get('/console')).headers.get('etag') as string;
    // Fetch would ask past every cache.
    expect(await raw('/console', { 'if-none-match': etag })).toEqual({ status: 304, text: '' });
    expect((await raw('/console', { 'if-none-match': '"another"' })).status).toBe(200);
  });

  it('are compressed for clients that take that, below 160 kB in all, and HEAD answers the same without a body', async () => {
    let bytes = 0;
    for (const path of ['/console', ...(await assetsOf())]) {
      const head = await get(path, { 'accept-encoding': 'gzip' }, 'HEAD');
      expect([head.status, head.headers.get('content-encoding'), await head.text()]).toEqual([
        200,
        'gzip',
        '',
      ]);
      bytes += Number(head.headers.get('content-length'));
    }
    expect(bytes).toBeLessThan(160_000);
    const plain = await get('/console', { 'accept-encoding': 'identity' });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(plain.headers.get('vary')).toContain('Accept-Encoding');
  });

  it('end where the console ends: an unknown asset is a 404, and no path leads out of it', async () => {
    expect((await get('/console/assets/unknown.js')).status).toBe(404);
    for (const path of [
      '/console/../package.json',
      '/console/%2e%2e/%2e%2e/package.json',
      '/console/assets/..%2f..%2f..%2fpackage.json',
      '/console/assets/../../src/main.js',
      '/console/%00',
      '/console/%zz',
    ]) {
      const { status, text } = await raw(path);
      expect([path, status < 500]).toEqual([path, true]);
      expect(text).not.toContain('"type": "module"');
      expect(text).not.toContain('import ');
    }
    const written = await get('/console', {}, 'POST');
    expect([written.status, written.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('use up nothing of what the API allows', async () => {
    for (let count = 0; count < RATE_LIMIT * 4; count++) expect((await get('/console')).status).toBe(200);
    expect((await get('/api/credits/balance')).status).toBe(401);
  });

  it('that were never built are said to be missing, with what to do', async () => {
    const running = await startBare();
    const { url } = running;
    const answer = await fetch(`${url}/console/users`);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({
      code: 'route.not_found',
      detail: expect.stringContaining('npm run build') as string,
    });
    expect(await running.stop()).toBe(0);
  });
});

describe('development tokens', () => {
  const BODY = { sub: 'alice', role: 'admin' };
  const ask = (url: string, headers: Record<string, string> = {}) =>
    fetch(`${url}/api/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(BODY),
    });
  const settingsOf = async (url: string) =>
    (await (await fetch(`${url}/console/config.json`)).json()) as { developmentTokens: boolean };

  it('are given, and work, where the secret is a generated one', async () => {
    const running = await startBare();
    const { url } = running;
    expect((await settingsOf(url)).developmentTokens).toBe(true);
    const answer = await ask(url);
    expect(answer.status).toBe(201);
    const { token } = (await answer.json()) as { token: string };
    const client = new HttpClient(url, { authorization: `Bearer ${token}` }, 'alice');
    expect((await client.get('/api/usage/system-stats')).status).toBe(200);
    expect(
      (
        await fetch(`${url}/api/dev/token`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"sub":"a","role":"god"}',
        })
      ).status,
    ).toBe(400);
    await running.stop();
  });

  it('are not there for requests from elsewhere: another page, another name of this machine, a proxy', async () => {
    const running = await startBare();
    const { url } = running;
    const { port } = new URL(url);
    const elsewhere: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: `http://localhost:${Number(port) + 1}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'x-forwarded-for': '203.0.113.7' },
      { forwarded: 'for=203.0.113.7' },
    ];
    for (const headers of elsewhere)
      expect([headers, (await ask(url, headers)).status]).toEqual([headers, 404]);
    for (const [type, body] of [
      ['application/json', '{'],
      ['text/plain', 'x'],
    ] as const) {
      const sent = { 'x-forwarded-for': '203.0.113.7', 'content-type': type };
      const answer = await fetch(`${url}/api/dev/token`, { method: 'POST', headers: sent, body });
      expect(answer.status).toBe(404);
    }
    // A name that another owns and that leads here: fetch would not send it.
    const rebound = await new Promise<number>((done, fail) => {
      const options = {
        port,
        host: '127.0.0.1',
        path: '/api/dev/token',
        method: 'POST',
        headers: {
          host: `evil.example:${port}`,
          origin: `http://evil.example:${port}`,
          'content-type': 'application/json',
        },
      };
      request(options, (response) => done(response.resume().statusCode as number))
        .on('error', fail)
        .end(JSON.stringify(BODY));
    });
    expect(rebound).toBe(404);
    await running.stop();
  });

  it('are not there at all in production, nor with a secret that was set', async () => {
    expect((await ask(service.url)).status).toBe(404);
    expect((await settingsOf(service.url)).developmentTokens).toBe(false);
    const running = await startBare({ JWT_ACCESS_SECRET: 'a secret that was set by a person 0123456789' });
    const { url } = running;
    expect((await ask(url)).status).toBe(404);
    expect((await settingsOf(url)).developmentTokens).toBe(false);
    await running.stop();
  });
});
