import { connect, type Socket } from 'node:net';
import type { IncomingMessage, Server } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { times, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../support/service.js';
import { accessToken } from '../support/tokens.js';
import { exchange } from '../proof/hostile/raw-http.js';

let service: TestService;
beforeAll(async () => {
  service = await startService({ DB_CONNECT_TIMEOUT_MS: '2000', EVENT_STREAM_SECONDS: '60' });
});
afterAll(() => service.close());

const PATH = '/api/credits/check';
/** Some hundred bytes that become 99 kB, and 2 MB of objects. */
const PACKED = gzipSync(`{"a":[${'{},'.repeat(32_999)}{}]}`);
const GZIP = ['Content-Type: application/json', 'Content-Encoding: gzip'];
const tokenOf = (userId: string) => `Authorization: Bearer ${accessToken({ sub: userId })}`;
const head = (first: string, headers: string[]) =>
  [`${first} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n');
const post = (headers: string[], body: Buffer | string): Buffer =>
  Buffer.concat([
    Buffer.from(head(`POST ${PATH}`, [...headers, `Content-Length: ${body.length}`])),
    Buffer.from(body),
  ]);
const balance = (userId: string) => head('GET /api/credits/balance', [tokenOf(userId)]);

/** Everything a request shows of whether its body was touched. */
const touched = ({ body, readableFlowing, readableDidRead }: IncomingMessage & { body?: unknown }) => ({
  body,
  readableFlowing,
  readableDidRead,
});
const UNTOUCHED = { body: undefined, readableFlowing: null, readableDidRead: false };

/** Takes all the turns of a caller until what it returns is called: the answers wait behind a stream of another user. */
async function takeAllTurns(path: string, credentials: string): Promise<() => void> {
  const sockets = await Promise.all([1, 2, 3, 4].map(() => openStream()));
  for (const socket of sockets) socket.write(head(`GET ${path}`, [credentials]).repeat(32));
  return () => sockets.forEach((socket) => socket.destroy());
}

/** A connection whose next answers wait behind a stream of events. */
async function openStream(): Promise<Socket> {
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1').on('error', () => undefined);
  socket.write(head('GET /api/events/stream', [tokenOf(freshUser())]));
  await new Promise((begun) => socket.once('data', begun));
  return socket;
}

describe('the body of a caller without valid credentials', () => {
  const REFUSED: [string, Record<string, string>, string][] = [
    ['that is no JSON', {}, '{'],
    ['of another type', { 'content-type': 'text/plain' }, 'x'],
    ['of an unknown encoding', { 'content-encoding': 'zip' }, '{}'],
    ['above 100 kB', {}, JSON.stringify({ a: 'x'.repeat(200_000) })],
    ['of too many values', {}, `[${'{},'.repeat(600)}{}]`],
  ];
  const CREDENTIALS: Record<string, string>[] = [
    {},
    { authorization: 'Bearer x.y.z' },
    { 'x-api-key': `ak_${'k'.repeat(43)}` },
    { 'x-internal-api-key': 'wrong' },
  ];

  it.each(REFUSED)('%s is a 401 and is not looked at', async (_name, headers, body) => {
    for (const credentials of CREDENTIALS) {
      const client = service.withHeaders(credentials);
      expectProblem(await client.post(PATH, body, headers), 401);
    }
  });

  it('is counted by the rate limit, and so is a body of a user that is refused', async () => {
    const limited = await service.another({ RATE_LIMIT_MAX: '5' });
    for (const [client, status] of [
      [limited.anonymous(), 401],
      [limited.as(), 400],
    ] as const) {
      const answers = await times(8, () => client.post(PATH, '{'));
      expect(answers.map((answer) => answer.status).sort()).toEqual([
        ...Array<number>(5).fill(status),
        429,
        429,
        429,
      ]);
    }
    await limited.close();
  });

  it('does not stand in the way of what comes after it on the connection', async () => {
    const { userId } = await userWithCredits(service, 1);
    const unknownKey = `X-API-Key: ak_${'k'.repeat(43)}`;
    const large = post(['Content-Type: application/json'], 'x'.repeat(1_000_000));
    const packed = post([unknownKey, ...GZIP], PACKED);
    const chunked = head(`POST ${PATH}`, ['Transfer-Encoding: chunked']) + '3\r\nabc\r\n0\r\n\r\n';
    const wire = [large, ...Array<Buffer>(50).fill(packed), chunked, balance(userId)];
    const answers = await exchange(service.url, wire, wire.length);
    expect(answers.map(({ status }) => status)).toEqual([...Array<number>(52).fill(401), 200]);
  });

  it('gets one answer when it never comes to its end', async () => {
    const hasty = await service.another({ REQUEST_TIMEOUT_SECONDS: '1' });
    const unfinished = head(`POST ${PATH}`, ['Content-Length: 50', 'Content-Type: application/json']) + '{';
    const answers = await exchange(hasty.url, unfinished);
    expect(answers.map(({ status }) => status)).toEqual([401]);
    await hasty.close();
  });
});

describe('a request that waits for the turn of its caller', () => {
  it('has a body that is not read until then', async () => {
    const { userId } = await userWithCredits(service, 10);
    const waiting: IncomingMessage[] = [];
    const remember = (request: IncomingMessage) => request.method === 'POST' && waiting.push(request);
    const server: Server = service.app.getHttpServer();
    const giveBack = await takeAllTurns('/api/credits/balance', tokenOf(userId));
    server.on('request', remember);
    const good = post([tokenOf(userId), ...GZIP], gzipSync('{"requiredCredits":1}'));
    const many = post([tokenOf(userId), ...GZIP], PACKED);
    const answers = Promise.all([good, many].map((wire) => exchange(service.url, wire, 1)));
    await expect.poll(() => waiting.length).toBe(2);
    await new Promise((passed) => setTimeout(passed, 200));
    for (const request of waiting) expect(touched(request)).toEqual(UNTOUCHED);
    server.off('request', remember);
    giveBack();
    expect((await answers).map(([answer]) => answer?.status)).toEqual([200, 400]);
  });

  it('of a trusted service waits for the turn of the user whom the body names', async () => {
    const [busy, other] = await Promise.all([userWithCredits(service, 10), userWithCredits(service, 10)]);
    const giveBack = await takeAllTurns(
      `/api/credits/balance?userId=${busy.userId}`,
      `X-Internal-API-Key: ${INTERNAL_KEY}`,
    );
    const check = (userId: string) => service.internal().post(PATH, { userId, requiredCredits: 1 });
    await expect.poll(async () => (await check(busy.userId)).status, { timeout: 20_000 }).toBe(429);
    expectProblem(await check(busy.userId), 429, { code: 'rate_limit.at_once' });
    expect((await check(other.userId)).status).toBe(200);
    expect((await busy.post(PATH, { requiredCredits: 1 })).status).toBe(200);
    giveBack();
    await expect.poll(async () => (await check(busy.userId)).status, { timeout: 20_000 }).toBe(200);
  });
});

describe('a request that its caller may not make', () => {
  it('is refused without its body, and takes no turn of the owner of an API key', async () => {
    const user = await userWithCredits(service, 10);
    const created = await user.post<{ key: string }>('/api/api-keys', { name: 'of no use', permissions: [] });
    const headers = [`X-API-Key: ${created.body.key}`, 'Content-Type: application/json'];
    const unfinished = `${head(`POST ${PATH}`, [...headers, 'Content-Length: 90'])}{`;
    const answers = Promise.all(Array.from({ length: 130 }, () => exchange(service.url, unfinished, 1)));
    for (const [answer] of await answers) expect(answer?.status).toBe(403);
    expect((await user.post(PATH, { requiredCredits: 1 })).status).toBe(200);
  });
});

describe('a body of another encoding', () => {
  it.each(['br', 'zstd', 'zip', 'gzip, gzip'])(
    'is a 415 that names the header, and is not decoded: %s',
    async (name) => {
      const answer = await service.as().post(PATH, '{"requiredCredits":1}', { 'content-encoding': name });
      expectProblem(answer, 415, { code: 'request.unsupported_media_type', field: 'Content-Encoding' });
    },
  );

  it.each(['charset=utf8', 'x="charset=utf-8"; charset=latin1'])(
    'is a 415 that names the header of its charset: %s',
    async (charset) => {
      const headers = { 'content-type': `application/json; ${charset}` };
      const answer = await service.as().post(PATH, '{"requiredCredits":1}', headers);
      expectProblem(answer, 415, { code: 'request.unsupported_media_type', field: 'Content-Type' });
    },
  );

  it('is a 400 that says so when it is not what the header says', async () => {
    const answer = await service.as().post(PATH, '{"requiredCredits":1}', { 'content-encoding': 'gzip' });
    expectProblem(answer, 400, { code: 'request.malformed', field: 'body' });
    expect(answer.text).toContain('Content-Encoding');
  });
});

describe('a body of too many values', () => {
  it('is refused before it is parsed, by the name of its field', async () => {
    const notJson = (values: number) => `{"metadata":[${'{},'.repeat(values)}`;
    const user = service.as(freshUser());
    expectProblem(await user.post(PATH, notJson(600)), 400, { code: 'validation.failed', field: 'metadata' });
    expectProblem(await user.post(PATH, notJson(400)), 400, { code: 'request.malformed', field: 'body' });
  });

  it('is not hidden by an encoding that its type names twice', async () => {
    // In UTF-16 U+2200 has the byte of a quotation mark, behind which nothing would be counted.
    const json = `{"\u2200":[${'{},'.repeat(9000)}{}]}`;
    const type = 'Content-Type: application/json; x="charset=utf-8"; charset=utf-16le';
    const wire = post([tokenOf(freshUser()), type], Buffer.from(json, 'utf16le'));
    const [answer] = await exchange(service.url, wire, 1);
    expect(answer?.status).toBe(415);
  });
});
