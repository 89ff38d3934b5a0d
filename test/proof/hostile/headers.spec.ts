import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { balanceOf, expectSoundBooks, userWithCredits } from '../../support/money.js';
import { expectProblem } from '../../support/problems.js';
import { INTERNAL_KEY, startService, type TestService } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';
import { WriteLog } from '../../support/write-log.js';
import { abandon, exchange, type RawAnswer, receive } from './raw-http.js';

let service: TestService;
let writes: WriteLog;
let apiKey: string;

const tokenOf = (sub: string, role = 'user') => accessToken({ sub, role });
const authorization = (sub: string, role = 'user') => `Authorization: Bearer ${tokenOf(sub, role)}`;

beforeAll(async () => {
  service = await startService();
  for (const [sub, role] of [
    ['alice', 'user'],
    ['root', 'admin'],
  ] as const) {
    const client = service.as(sub, { role });
    expect((await client.get('/api/credits/balance')).status).toBe(200);
  }
  const made = await service
    .as('alice')
    .post('/api/api-keys', { name: 'of the test', permissions: ['credits:read'] });
  apiKey = String(made.body.key);
  writes = await WriteLog.on(service.owner);
});
beforeEach(() => writes.sinceLast());
afterAll(() => service.close());

/** A request as text, with a Host and the end of the headers. */
const request = (first: string, headers: readonly string[], body = '') =>
  [`${first} HTTP/1.1`, 'Host: localhost', ...headers, '', body].join('\r\n');

const CLOSE = 'Connection: close';
const JSON_TYPE = 'Content-Type: application/json';
const balance = (...headers: string[]) => request('GET /api/credits/balance', [...headers, CLOSE]);

/** What a smuggler would like to be carried out: a gift by an admin. */
const gift = () => {
  const body = '{"userId":"alice","credits":1000}';
  return request(
    'POST /api/credits/allocate',
    [authorization('root', 'admin'), JSON_TYPE, `Content-Length: ${body.length}`],
    body,
  );
};

function expectRawProblem(answer: RawAnswer | undefined, status: number, code?: string): void {
  const { headers, body, status: given } = answer as RawAnswer;
  expectProblem(
    { status: given, text: body, body: JSON.parse(body) as object, headers: new Headers([...headers]) },
    status,
    code === undefined ? {} : { code },
  );
}

describe('the caller of a request', () => {
  it.each<[string, () => string[]]>([
    ['two tokens of different users', () => [authorization('alice'), authorization('root', 'admin')]],
    ['the same token twice', () => [authorization('alice'), authorization('alice').toLowerCase()]],
    ['a token and something else', () => [authorization('alice'), 'Authorization: Basic YTpi']],
    ['something else and a token', () => ['AUTHORIZATION: Basic YTpi', authorization('alice')]],
    ['a token and an API key', () => [authorization('alice'), `X-API-Key: ${apiKey}`]],
  ])('is not decided by order: 401 for %s', async (_name, headers) => {
    const [answer, ...more] = await exchange(service.url, balance(...headers()));
    expectRawProblem(answer, 401, 'auth.ambiguous_credentials');
    expect(more).toEqual([]);
  });

  it.each<[string, () => string[], string]>([
    ['two API keys', () => [`X-API-Key: ${apiKey}`, `X-API-Key: ${apiKey}`], 'auth.invalid_api_key'],
    [
      'two internal keys',
      () => [`X-Internal-API-Key: ${INTERNAL_KEY}`, 'X-Internal-API-Key: x'],
      'auth.invalid_internal_key',
    ],
    ['a token in a cookie', () => [`Cookie: access_token=${tokenOf('alice')}`], 'auth.token_required'],
    ['a token under a proxy', () => [`Proxy-${authorization('alice')}`], 'auth.token_required'],
    ['a token in another header', () => [`X-Forwarded-${authorization('alice')}`], 'auth.token_required'],
    ['two tokens in one header', () => [`${authorization('alice')}, Bearer x`], 'auth.invalid_token'],
  ])('has no caller: 401 for %s', async (_name, headers, code) => {
    const [answer] = await exchange(service.url, balance(...headers()));
    expectRawProblem(answer, 401, code);
  });

  it('is not decided by a token in the query', async () => {
    const token = tokenOf('alice');
    const [answer] = await exchange(
      service.url,
      request(`GET /api/credits/balance?access_token=${token}`, [CLOSE]),
    );
    expectRawProblem(answer, 401, 'auth.token_required');
  });

  it('is decided for each of many requests on one connection', async () => {
    const wire = ['alice', 'root', undefined, 'alice', 'root'].map((sub) =>
      request('GET /api/credits/balance', sub === undefined ? [] : [authorization(sub)]),
    );
    const answers = await exchange(service.url, wire.join(''), wire.length);
    expect(answers.map(({ body }) => (JSON.parse(body) as { userId?: string }).userId)).toEqual([
      'alice',
      'root',
      undefined,
      'alice',
      'root',
    ]);
  });
});

describe('headers that would have another thing done', () => {
  it.each(['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'])(
    '%s is not heeded',
    async (name) => {
      const root = service.as('root', { role: 'admin' });
      const rule = await root.post('/api/pricing', { modelId: `kept-${name}`, pricePerThousandTokens: '1' });
      const path = `/api/pricing/${String(rule.body.id)}`;
      expect((await root.get(`${path}?_method=DELETE`, { [name]: 'DELETE' })).status).toBe(200);
      await root.post(path, {}, { [name]: 'DELETE' });
      const kept = await root.get<{ current: object | null }>(`/api/pricing/kept-${name}`);
      expect(kept.body.current).not.toBeNull();
    },
  );

  it.each(['X-Original-URL', 'X-Rewrite-URL', 'X-Forwarded-Path', 'X-Forwarded-Prefix'])(
    '%s names no other route',
    async (name) => {
      const answer = await service.anonymous().get('/api/credits/audit', { [name]: '/health' });
      expectProblem(answer, 401);
      const health = await service.anonymous().get('/health', { [name]: '/api/credits/audit' });
      expect(health.body.status).toBe('ok');
    },
  );

  it('another address in X-Forwarded-For makes no other caller', async () => {
    const limited = await service.another({ RATE_LIMIT_MAX: '3' });
    const statuses: number[] = [];
    for (let call = 0; call < 6; call++) {
      const spoofed = {
        'x-forwarded-for': `10.0.0.${call}`,
        'x-real-ip': `10.0.0.${call}`,
        forwarded: `for=10.0.0.${call}`,
      };
      statuses.push((await limited.anonymous().get('/api/credits/balance', spoofed)).status);
    }
    expect(statuses).toEqual([401, 401, 401, 429, 429, 429]);
    await limited.close();
  });

  it.each(['If-None-Match: *', 'If-None-Match: "x"', `If-Modified-Since: ${new Date().toUTCString()}`])(
    '%s gets the whole answer, as there is nothing to compare with',
    async (condition) => {
      const [answer] = await exchange(service.url, balance(authorization('alice'), condition));
      expect(JSON.parse(answer?.body ?? '')).toMatchObject({ userId: 'alice' });
    },
  );

  it.each(['Upgrade: websocket', 'Upgrade: h2c'])('%s changes no protocol', async (upgrade) => {
    const headers = [authorization('alice'), 'Connection: close, Upgrade', upgrade];
    const [answer] = await exchange(service.url, request('GET /api/credits/balance', headers));
    expect(answer?.status).toBe(200);
  });
});

describe('a request in an unusual form', () => {
  it('is answered when its address is absolute, by its path', async () => {
    for (const origin of ['http://localhost', 'http://evil.example', 'http://user:secret@evil.example:99']) {
      const wire = request(`GET ${origin}/api/credits/balance`, [authorization('alice'), CLOSE]);
      const [answer] = await exchange(service.url, wire);
      expect([answer?.status, JSON.parse(answer?.body ?? '')]).toMatchObject([200, { userId: 'alice' }]);
    }
  });

  it('is answered after 100 Continue when it asks for that, also when it is refused', async () => {
    const body = '{"requiredCredits":1}';
    const head = (...more: string[]) =>
      request('POST /api/credits/check', [
        JSON_TYPE,
        `Content-Length: ${body.length}`,
        'Expect: 100-continue',
        CLOSE,
        ...more,
      ]);
    const accepted = await exchange(service.url, [head(authorization('alice')), body]);
    expect(accepted.map(({ status }) => status)).toEqual([100, 200]);
    const refused = await exchange(service.url, [head(), body]);
    expect(refused.map(({ status }) => status)).toEqual([100, 401]);
  });

  it('is 417 when it expects something else, and not carried out', async () => {
    const [answer] = await exchange(
      service.url,
      gift().replace('Host:', 'Expect: the-moon\r\nConnection: close\r\nHost:'),
    );
    expect(answer?.status).toBe(417);
    expect(await writes.sinceLast()).toEqual([]);
  });

  it('is answered in HTTP/1.0 and then the connection is closed', async () => {
    const wire = request('GET /health', []).replace('HTTP/1.1', 'HTTP/1.0');
    expect((await exchange(service.url, wire)).map(({ status }) => status)).toEqual([200]);
  });

  it.each(['OPTIONS *', 'CONNECT localhost:5432', 'PRI *', 'TRACE /api/credits/balance', 'BREW /health'])(
    '%s reads and changes nothing',
    async (first) => {
      const answers = await exchange(service.url, request(first, [authorization('root', 'admin'), CLOSE]));
      for (const { status, body } of answers) {
        expect([204, 400, 405]).toContain(status);
        // Neither credentials nor anything of an account comes back.
        expect(body).not.toMatch(/Bearer|totalCredits|eyJ/);
      }
      expect(await writes.sinceLast()).toEqual([]);
    },
  );

  it('is 405 with a method that HTTP does not have, where the path has others', async () => {
    const first = async (line: string) =>
      (await exchange(service.url, request(line, [authorization('root', 'admin'), CLOSE]))).map(
        ({ status, headers, body }) => [
          status,
          headers.get('allow'),
          (JSON.parse(body) as { code: string }).code,
        ],
      );
    const notAllowed = 'request.method_not_allowed';
    expect(await first('BREW /health?x=1')).toEqual([[405, 'GET, HEAD', notAllowed]]);
    expect(await first('BREW /api/pricing/7')).toEqual([[405, 'DELETE, GET, HEAD', notAllowed]]);
    expect(await first('BREW /nothing')).toEqual([[404, undefined, 'route.not_found']]);
    expect(await first('BREW /api/pricing/%zz')).toEqual([[400, undefined, 'request.malformed']]);
  });

  it('is 400 without a Host', async () => {
    const [answer] = await exchange(service.url, 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect(answer?.status).toBe(400);
  });
});

/** Requests of which a proxy before the service could think that they end elsewhere; a gift hides in each. */
const AMBIGUOUS_LENGTHS: Record<string, (inner: string) => string> = {
  'Content-Length and Transfer-Encoding': (inner) =>
    request(
      'POST /api/credits/check',
      ['Content-Length: 5', 'Transfer-Encoding: chunked', JSON_TYPE],
      `0\r\n\r\n${inner}`,
    ),
  'Transfer-Encoding and Content-Length': (inner) =>
    request(
      'POST /api/credits/check',
      ['Transfer-Encoding: chunked', `Content-Length: ${inner.length + 5}`, JSON_TYPE],
      `0\r\n\r\n${inner}`,
    ),
  'two lengths': (inner) =>
    request(
      'POST /api/credits/check',
      ['Content-Length: 0', `Content-Length: ${inner.length}`, JSON_TYPE],
      inner,
    ),
  'two lengths in one header': (inner) =>
    request('POST /api/credits/check', [`Content-Length: 0, ${inner.length}`, JSON_TYPE], inner),
  'a length with a sign': (inner) =>
    request('POST /api/credits/check', ['Content-Length: +0', JSON_TYPE], inner),
  'a negative length': (inner) =>
    request('POST /api/credits/check', ['Content-Length: -1', JSON_TYPE], inner),
  'a hexadecimal length': (inner) =>
    request('POST /api/credits/check', ['Content-Length: 0x0', JSON_TYPE], inner),
  'a length beyond every number': (inner) =>
    request('POST /api/credits/check', [`Content-Length: ${'9'.repeat(30)}`, JSON_TYPE], inner),
  'a blank before the colon': (inner) =>
    request('POST /api/credits/check', ['Transfer-Encoding : chunked', JSON_TYPE], `0\r\n\r\n${inner}`),
  'an unknown coding': (inner) =>
    request('POST /api/credits/check', ['Transfer-Encoding: xchunked', JSON_TYPE], `0\r\n\r\n${inner}`),
  'chunked and then another coding': (inner) =>
    request(
      'POST /api/credits/check',
      ['Transfer-Encoding: chunked, identity', JSON_TYPE],
      `0\r\n\r\n${inner}`,
    ),
  'a vertical tab before chunked': (inner) =>
    request('POST /api/credits/check', ['Transfer-Encoding: \u000bchunked', JSON_TYPE], `0\r\n\r\n${inner}`),
  'a chunk of no size': (inner) =>
    request('POST /api/credits/check', ['Transfer-Encoding: chunked', JSON_TYPE], `zz\r\n${inner}`),
  'a chunk of negative size': (inner) =>
    request('POST /api/credits/check', ['Transfer-Encoding: chunked', JSON_TYPE], `-1\r\n${inner}`),
  'a chunk of a size beyond every number': (inner) =>
    request(
      'POST /api/credits/check',
      ['Transfer-Encoding: chunked', JSON_TYPE],
      `${'f'.repeat(20)}\r\n${inner}`,
    ),
  'a chunk that is longer than it says': (inner) =>
    request(
      'POST /api/credits/check',
      [authorization('alice'), 'Transfer-Encoding: chunked', JSON_TYPE],
      `1\r\n{}\r\n0\r\n\r\n${inner}`,
    ),
  'a line break alone at the end of the headers': (inner) =>
    `POST /api/credits/check HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n${inner}`,
  'a line break in a header': (inner) =>
    request('POST /api/credits/check', ['X-A: b\rContent-Length: 0', JSON_TYPE], inner),
  'a folded header': (inner) =>
    request('POST /api/credits/check', ['X-A: b', ' Content-Length: 0', JSON_TYPE], inner),
  'NUL in a header': (inner) => request('POST /api/credits/check', ['X-A: b\u0000c', JSON_TYPE], inner),
  'a name with a blank': (inner) => request('POST /api/credits/check', ['X A: b', JSON_TYPE], inner),
};

describe('a request with a doubtful end', () => {
  it.each(Object.entries(AMBIGUOUS_LENGTHS))(
    'is 400 with %s, and nothing behind it is carried out',
    async (_name, wrap) => {
      const answers = await exchange(service.url, wrap(gift()));
      expectRawProblem(answers[0], 400, 'request.malformed');
      expect(answers).toHaveLength(1);
      expect(await writes.sinceLast()).toEqual([]);
    },
  );

  it('does not have its refusal taken for the answer of one before it', async () => {
    expect(await exchange(service.url, `${gift()}garbage\r\n\r\n`)).toEqual([]);
    await vi.waitFor(async () => expect((await writes.sinceLast()).length).toBeGreaterThan(0));
  });

  it('ends where its length says, and what follows is a request of its own', async () => {
    const body = '{"requiredCredits":1}';
    const first = request(
      'POST /api/credits/check',
      [authorization('alice'), JSON_TYPE, `Content-Length: ${body.length}`],
      body,
    );
    const answers = await exchange(service.url, first + gift().replace('Host:', `${CLOSE}\r\nHost:`));
    expect(answers.map(({ status }) => status)).toEqual([200, 201]);
    expect((await writes.sinceLast()).length).toBeGreaterThan(0);
  });

  it.each(
    ['GET', 'DELETE'].flatMap((method) =>
      [JSON_TYPE, 'Content-Type: text/plain'].map((type) => [method, type] as const),
    ),
  )('of %s has a body that is not read, whatever it says: %s', async (method, type) => {
    const hidden = gift();
    const headers = [authorization('alice'), type, `Content-Length: ${hidden.length}`];
    const wire = request(`${method} /api/credits/balance`, headers, hidden) + balance(authorization('alice'));
    const answers = await exchange(service.url, wire);
    expect(answers.map(({ status }) => status)).toEqual([method === 'GET' ? 200 : 405, 200]);
    expect(await writes.sinceLast()).toEqual([]);
  });

  it('is answered without a body when it begins as a HEAD', async () => {
    const received = await receive(service.url, Buffer.from(request('HEAD /\u00e9', []), 'latin1'));
    expect(received.toString()).toMatch(/^HTTP\/1\.1 400 [^]*\r\n\r\n$/);
  });
});

describe('headers too large', () => {
  it.each<[string, () => string[]]>([
    ['one of 17 kB', () => [`X-Large: ${'x'.repeat(17_000)}`]],
    ['a token of 20 kB', () => [`Authorization: Bearer ${accessToken({ sub: 'x'.repeat(15_000) })}`]],
    [
      '1,200 of 20 bytes',
      () => Array.from({ length: 1200 }, (_, index) => `X-${String(index).padStart(6, '0')}: 12345678`),
    ],
    ['a name of 17 kB', () => [`${'X'.repeat(17_000)}: 1`]],
  ])('are 431: %s', async (_name, headers) => {
    expectRawProblem(
      (await exchange(service.url, balance(...headers())))[0],
      431,
      'request.headers_too_large',
    );
  });

  it('are 431 for an address of 17 kB', async () => {
    const wire = request(`GET /api/credits/balance?${'x'.repeat(17_000)}`, [CLOSE]);
    expectRawProblem((await exchange(service.url, wire))[0], 431, 'request.headers_too_large');
  });

  it('are 413 for the extensions of a chunk', async () => {
    const chunk = `1;${'x'.repeat(20_000)}\r\n{\r\n0\r\n\r\n`;
    const headers = [authorization('alice'), JSON_TYPE, 'Transfer-Encoding: chunked'];
    const [answer] = await exchange(service.url, request('POST /api/credits/check', headers, chunk));
    expectRawProblem(answer, 413, 'request.too_large');
  });
});

describe('a body that comes too slowly', () => {
  it('is 408 in the form of every other error, and nothing of it is carried out', async () => {
    const hasty = await service.another({ REQUEST_TIMEOUT_SECONDS: '1' });
    const [whole, half] = [gift(), gift().slice(0, -5)];
    expect(whole.startsWith(half)).toBe(true);
    expectRawProblem((await exchange(hasty.url, half))[0], 408, 'request.timeout');
    expect(await writes.sinceLast()).toEqual([]);
    await hasty.close();
  });

  it('is dropped when its sender goes away', async () => {
    service.logs.length = 0;
    await abandon(service.url, gift().slice(0, -5));
    // The service has noticed when it logs the request.
    await vi.waitFor(() =>
      expect(service.logs).toContainEqual(expect.objectContaining({ path: '/api/credits/allocate' })),
    );
    expect(await writes.sinceLast()).toEqual([]);
  });
});

const PACKINGS: Record<string, (bytes: Buffer) => Buffer> = {
  gzip: (bytes) => gzipSync(bytes),
  deflate: (bytes) => deflateSync(bytes),
};

/** Bytes as they are, which the usual client of the tests does not send. */
async function postBytes(path: string, bytes: Buffer, headers: string[]) {
  const lines = [CLOSE, `Content-Length: ${bytes.length}`, ...headers];
  const [answer] = await exchange(service.url, [request(`POST ${path}`, lines), bytes]);
  return answer;
}

describe.each(Object.entries(PACKINGS))('a body packed as %s', (name, pack) => {
  const headers = () => [authorization('root', 'admin'), JSON_TYPE, `Content-Encoding: ${name}`];

  it('is read', async () => {
    const answer = await postBytes(
      '/api/credits/check',
      pack(Buffer.from('{"requiredCredits":1}')),
      headers(),
    );
    expect(answer?.status).toBe(200);
  });

  it('is 413 when it grows beyond the limit, and long before it is unpacked whole', async () => {
    const body = JSON.stringify({ userId: 'alice', credits: 1, notes: 'x'.repeat(50_000_000) });
    const bomb = pack(Buffer.from(body));
    expect(bomb.length).toBeLessThan(100_000);
    const before = process.memoryUsage().rss;
    for (const path of ['/api/credits/allocate', '/api/pricing/import'])
      expectRawProblem(await postBytes(path, bomb, headers()), 413, 'request.too_large');
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
    expect(await writes.sinceLast()).toEqual([]);
  });

  it('is 400 when it is cut short, or nothing of the kind', async () => {
    const packed = pack(Buffer.from('{"requiredCredits":1}'));
    for (const bytes of [packed.subarray(0, -6), Buffer.from('{"requiredCredits":1}')])
      expectRawProblem(await postBytes('/api/credits/check', bytes, headers()), 400, 'request.malformed');
  });

  it('is 415 when it is packed twice', async () => {
    const answer = await postBytes('/api/credits/check', pack(pack(Buffer.from('{}'))), [
      ...headers().slice(0, 2),
      `Content-Encoding: ${name}, ${name}`,
    ]);
    expectRawProblem(answer, 415);
  });
});

describe('a body that is not UTF-8', () => {
  it.each(['/api/credits/check', '/api/pricing/import', '/api/integrations/litellm/logs'])(
    'is 415 at %s',
    async (path) => {
      const text = '{"requiredCredits":1}';
      const bodies: [string, Buffer][] = [
        ['utf-7', Buffer.from('+AHs-"requiredCredits":1}')],
        ['utf-16', Buffer.from(`\ufeff${text}`, 'utf16le')],
        ['utf-16le', Buffer.from(text, 'utf16le')],
        ['utf-32', Buffer.from(text)],
        ['"utf-16le"', Buffer.from(text, 'utf16le')],
        ['iso-8859-1', Buffer.from(text)],
        ['us-ascii', Buffer.from(text)],
      ];
      for (const [charset, bytes] of bodies) {
        const answer = await postBytes(path, bytes, [
          `X-Internal-API-Key: ${INTERNAL_KEY}`,
          authorization('root', 'admin'),
          `Content-Type: application/json; charset=${charset}`,
        ]);
        expectRawProblem(answer, 415, 'request.unsupported_media_type');
      }
    },
  );
});

it('leaves the books sound, the log without a fault and the service at work', async () => {
  const user = await userWithCredits(service, 10);
  expect((await balanceOf(user)).totalCredits).toBe(10);
  await expectSoundBooks(service);
  expect(service.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
});
