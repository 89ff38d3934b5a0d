import { createHmac, sign } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it, vi } from 'vitest';
import {
  jwkOf,
  JwksServer,
  pemOf,
  type SigningKey,
  signingKey,
  startVerifier,
  tokenOf,
} from '../support/jwks-server.js';
import { stopMonotonicClock } from '../support/monotonic-clock.js';
import { expectProblem } from '../support/problems.js';
import { INTERNAL_KEY, startService, type TestService } from '../support/service.js';
import { accessToken, SECRET } from '../support/tokens.js';

const REQUIRED = { code: 'auth.token_required', message: 'Authentication token required' };
const INVALID = { code: 'auth.invalid_token', message: 'Invalid token' };
const WRONG_TYPE = { code: 'auth.invalid_token_type', message: 'Invalid token type' };
const EXPIRED = { code: 'auth.token_expired', message: 'Token expired' };

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

const call = (on: TestService, headers: Record<string, string>) =>
  on.anonymous().get('/api/credits/balance', headers);
const withToken = (token: string, on = service) => call(on, { authorization: `Bearer ${token}` });

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const hmac = (text: string, digest: string, secret: string | Buffer) =>
  createHmac(digest, secret).update(text).digest('base64url');
const secondsFromNow = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

const CLAIMS = { sub: 'alice', email: 'alice@example.com', username: 'alice', role: 'user', type: 'access' };

interface Signing {
  header?: object;
  digest?: string;
  secret?: string | Buffer;
}

/**
 * A token signed by hand, so that it may say what no library would sign.
 *
 * @param claims over good ones (undefined leaves a claim out), or the whole payload as text
 */
function handmade(
  claims: object | string = {},
  { header = {}, digest = 'sha256', secret = SECRET }: Signing = {},
): string {
  const good = { ...CLAIMS, iat: secondsFromNow(0), exp: secondsFromNow(3600) };
  const payload = typeof claims === 'string' ? claims : JSON.stringify({ ...good, ...claims });
  const text = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${Buffer.from(payload).toString('base64url')}`;
  return `${text}.${hmac(text, digest, secret)}`;
}

const unsigned = (alg: string) => handmade({}, { header: { alg } }).replace(/[^.]*$/, '');
const altered = () => {
  const [header, , signature] = handmade().split('.');
  return [header, encode({ ...CLAIMS, role: 'admin', exp: secondsFromNow(3600) }), signature].join('.');
};

/** With the right signature. */
function withHeader(header: string): string {
  const text = `${Buffer.from(header).toString('base64url')}.${handmade().split('.')[1]}`;
  return `${text}.${hmac(text, 'sha256', SECRET)}`;
}

/** The last character of a signature has two bits that decoding drops. */
function otherLastBits(): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const token = handmade();
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.slice(-1)) ^ 1];
}

describe('401 without an acceptable Authorization header', () => {
  it.each([
    ['no header', undefined],
    ['Bearer without a token', 'Bearer'],
    ['Bearer and blanks', 'Bearer   '],
    ['another scheme', 'Basic YWxpY2U6c2VjcmV0'],
    ['a good token under another scheme', () => `Token ${handmade()}`],
    ['a good token without a scheme', () => handmade()],
  ])('refuses %s', async (_name, header) => {
    const authorization = typeof header === 'function' ? header() : header;
    expectProblem(await call(service, authorization === undefined ? {} : { authorization }), 401, REQUIRED);
  });
});

describe('401 for a token that is not one of the authentication service', () => {
  it.each<[string, () => string, object]>([
    ['garbage', () => 'garbage', INVALID],
    ['three parts of garbage', () => 'a.b.c', INVALID],
    [
      'a header that is no JSON and speaks of a timeout',
      () => `${Buffer.from('ETIMEDOUT').toString('base64url')}.e30.c`,
      INVALID,
    ],
    ['a token cut short', () => handmade().slice(0, -2), INVALID],
    ['a token without its signature', () => handmade().replace(/\.[^.]*$/, ''), INVALID],
    ['changed claims under an old signature', altered, INVALID],
    ['alg none without a signature', () => unsigned('none'), INVALID],
    ['alg nOnE without a signature', () => unsigned('nOnE'), INVALID],
    ['alg none with a signature', () => handmade({}, { header: { alg: 'none' } }), INVALID],
    ['an alg that is no text', () => handmade({}, { header: { alg: ['HS256'] } }), INVALID],
    ['no alg', () => handmade({}, { header: { alg: undefined } }), INVALID],
    ['another secret', () => handmade({}, { secret: 'x'.repeat(40) }), INVALID],
    ['an empty secret', () => handmade({}, { secret: '' }), INVALID],
    [
      'HS384 with the right secret',
      () => handmade({}, { header: { alg: 'HS384' }, digest: 'sha384' }),
      INVALID,
    ],
    [
      'HS512 with the right secret',
      () => handmade({}, { header: { alg: 'HS512' }, digest: 'sha512' }),
      INVALID,
    ],
    ['RS256 under a shared secret', () => tokenOf(signingKey('rsa', 'RS256')), INVALID],
    ['an expired token of another secret', () => handmade({ exp: 1 }, { secret: 'x'.repeat(40) }), INVALID],
    ['an expired token', () => handmade({ exp: secondsFromNow(-3600) }), EXPIRED],
    ['a token expired 30 s ago', () => handmade({ exp: secondsFromNow(-30) }), EXPIRED],
    ['a token valid in 30 s only', () => handmade({ nbf: secondsFromNow(30) }), INVALID],
    ['an nbf that is no number', () => handmade({ nbf: 'tomorrow' }), INVALID],
    ['a token without exp', () => handmade({ exp: undefined }), { ...INVALID, field: 'exp' }],
    ['an exp that is no number', () => handmade({ exp: '2999-01-01' }), INVALID],
    [
      'an exp that never comes',
      () => handmade(`{"type":"access","exp":1e999}`),
      { ...INVALID, field: 'exp' },
    ],
    ['an exp of null', () => handmade({ exp: null }), INVALID],
    ['an iat 30 s in the future', () => handmade({ iat: secondsFromNow(30) }), { ...INVALID, field: 'iat' }],
    ['an iat that is no number', () => handmade({ iat: '2999-01-01' }), { ...INVALID, field: 'iat' }],
    ['a refresh token', () => handmade({ type: 'refresh' }), WRONG_TYPE],
    ['a token without a type', () => handmade({ type: undefined }), WRONG_TYPE],
    ['a type that is a list', () => handmade({ type: ['access'] }), WRONG_TYPE],
    ['claims that are a list', () => handmade('[]'), WRONG_TYPE],
    ['claims that are a text', () => handmade('"access"'), WRONG_TYPE],
    ['claims of null', () => handmade('null'), INVALID],
    ['claims that are a number', () => handmade('42'), WRONG_TYPE],
    ['claims that are no JSON', () => handmade('type=access'), INVALID],
    ['claims that are no UTF-8', () => handmade('{"type":"access","sub":"\ud800"}'), INVALID],
    ['no claims', () => handmade(''), INVALID],
    ['a type that is nearly right', () => handmade({ type: 'Access' }), WRONG_TYPE],
    ['an exp written as a text', () => handmade({ exp: String(secondsFromNow(3600)) }), INVALID],
    ['an exp before 1970', () => handmade({ exp: -1 }), EXPIRED],
    ['an exp of 0', () => handmade({ exp: 0 }), EXPIRED],
    ['an exp after the year 9999', () => handmade({ exp: 1e300 }), { ...INVALID, field: 'exp' }],
    ['an exp that is a list', () => handmade({ exp: [secondsFromNow(3600)] }), INVALID],
    ['an nbf in a thousand years', () => handmade({ nbf: secondsFromNow(3e10) }), INVALID],
    ['an iat of null', () => handmade({ iat: null }), { ...INVALID, field: 'iat' }],
    ['an iat of 1e300', () => handmade({ iat: 1e300 }), { ...INVALID, field: 'iat' }],
    ['an alg named twice, last none', () => withHeader('{"alg":"HS256","alg":"none"}'), INVALID],
    ['an alg named twice, first none', () => withHeader('{"alg":"none","alg":"HS384"}'), INVALID],
    ['a header of null', () => withHeader('null'), INVALID],
    ['a header that is a list', () => withHeader('["HS256"]'), INVALID],
    [
      'an extension that is critical',
      () => handmade({}, { header: { crit: ['exp-2'], 'exp-2': 1 } }),
      INVALID,
    ],
    ['a payload that is not encoded', () => handmade({}, { header: { crit: ['b64'], b64: false } }), INVALID],
    ['an alg inherited by every object', () => withHeader('{"__proto__":{"alg":"HS256"}}'), INVALID],
    ['padding after the signature', () => `${handmade()}=`, INVALID],
    ['a blank in the signature', () => handmade().replace(/(.{5})$/, ' $1'), INVALID],
    ['the alphabet of plain base64', () => handmade().replace(/[^.]*$/, '++++////'), INVALID],
    ['other last bits in the signature', otherLastBits, INVALID],
    ['five parts, as of an encrypted token', () => `${handmade()}.a.b`, INVALID],
    ['a token in JSON form', () => JSON.stringify({ payload: 'e30', signatures: [] }), INVALID],
    ['two tokens', () => `${handmade()}, Bearer ${handmade()}`, INVALID],
    ['two tokens without a comma', () => `${handmade()} Bearer ${handmade()}`, INVALID],
    ['a token and more', () => `${handmade()} x`, INVALID],
    ['15 kB of garbage', () => 'x'.repeat(15_000), INVALID],
    ['15,000 dots', () => '.'.repeat(15_000), INVALID],
  ])('refuses %s', async (_name, token, expected) => {
    expectProblem(await withToken(token()), 401, expected);
  });

  it.each([['ak_'], ['sk-ak_']])('names the header for an API key that begins with %s', async (prefix) => {
    const key = prefix + 'k'.repeat(43);
    const refused = await withToken(key);
    expectProblem(refused, 401, {
      code: INVALID.code,
      message: 'Invalid token: an API key is sent in the X-API-Key header',
    });
    expect(refused.text).not.toContain(key);
  });

  it('writes neither account nor log line with the token', async () => {
    const token = handmade({ sub: 'never-seen', type: 'refresh' });
    expectProblem(await withToken(token), 401, WRONG_TYPE);
    const seen = await service.owner.query(`SELECT 1 FROM user_accounts WHERE user_id = 'never-seen'`);
    expect(seen.rowCount).toBe(0);
    expect(JSON.stringify(service.logs)).not.toContain(token.split('.')[2]);
  });
});

describe('200 for a good token', () => {
  it.each([
    ['a good token', () => handmade()],
    ['a token without iat', () => handmade({ iat: undefined })],
    ['a token expired 2 s ago', () => handmade({ exp: secondsFromNow(-2) })],
    ['a token valid in 2 s', () => handmade({ nbf: secondsFromNow(2) })],
    ['an iat 2 s in the future', () => handmade({ iat: secondsFromNow(2) })],
    ['claims that are not needed', () => handmade({ aud: 'elsewhere', iss: 'auth', scope: ['x'] })],
    ['a fraction of a second in exp', () => handmade({ exp: secondsFromNow(3600) + 0.5 })],
    ['a key id that is not needed', () => handmade({}, { header: { kid: '../../../../dev/null' } })],
    ['a token of 10 kB', () => handmade({ groups: 'g'.repeat(7000) })],
  ])('takes %s', async (_name, token) => {
    const answer = await withToken(token());
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body.userId).toBe('alice');
  });

  it('takes the last of a claim that is named twice', async () => {
    const rest = JSON.stringify({ ...CLAIMS, exp: secondsFromNow(3600) }).slice(1);
    const answer = await withToken(handmade(`{"sub":"mallory",${rest}`));
    expect(answer.body.userId).toBe('alice');
    const seen = await service.owner.query(`SELECT 1 FROM user_accounts WHERE user_id = 'mallory'`);
    expect(seen.rowCount).toBe(0);
  });

  it('takes the scheme in any case', async () => {
    expect((await call(service, { authorization: `bearer ${handmade()}` })).status).toBe(200);
  });
});

const GOOD_PAYLOAD = () => JSON.stringify({ ...CLAIMS, exp: secondsFromNow(3600) });

/** A token with any payload, signed with a private key. */
function signed(key: SigningKey, payload: string, header: object = {}): string {
  const head = { alg: key.algorithm, typ: 'JWT', kid: key.kid, ...header };
  const text = `${encode(head)}.${Buffer.from(payload).toString('base64url')}`;
  const signature = sign('sha256', Buffer.from(text), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

describe.each(['RS256', 'ES256'] as const)('JWT_PUBLIC_KEY with a key for %s', (algorithm) => {
  const key = signingKey('unused', algorithm);
  const pem = pemOf(key);
  let verifier: TestService;
  beforeAll(async () => {
    verifier = await service.another({ JWT_ACCESS_SECRET: '', JWT_PUBLIC_KEY: pem });
  });
  afterAll(() => verifier.close());

  it('takes a token of its key', async () => {
    expect((await withToken(tokenOf(key), verifier)).status).toBe(200);
  });

  it('takes the PEM on one line with escaped line breaks', async () => {
    const escaped = await service.another({
      JWT_ACCESS_SECRET: '',
      JWT_PUBLIC_KEY: pem.replaceAll('\n', '\\n'),
    });
    expect((await withToken(tokenOf(key), escaped)).status).toBe(200);
    await escaped.close();
  });

  it.each<[string, () => string, object]>([
    ['HS256 with the PEM as secret', () => handmade({}, { secret: pem }), INVALID],
    ['HS256 with the PEM as the service read it', () => handmade({}, { secret: pem.trim() }), INVALID],
    [
      'HS256 with the DER as secret',
      () => handmade({}, { secret: key.publicKey.export({ type: 'spki', format: 'der' }) }),
      INVALID,
    ],
    ['HS256 with an empty secret', () => handmade({}, { secret: '' }), INVALID],
    ['alg none', () => unsigned('none'), INVALID],
    ['a token of another RSA key', () => tokenOf(signingKey('unused', 'RS256')), INVALID],
    ['a token of another EC key', () => tokenOf(signingKey('unused', 'ES256')), INVALID],
    ['an expired token', () => tokenOf(key, { expiresIn: -30 }), EXPIRED],
    ['claims of null', () => signed(key, 'null'), INVALID],
    ['claims that are a list', () => signed(key, '[]'), WRONG_TYPE],
    ['a signature of zeros', () => tokenOf(key).replace(/[^.]*$/, 'A'.repeat(86)), INVALID],
    ['no signature', () => tokenOf(key).replace(/[^.]*$/, ''), INVALID],
  ])('refuses %s', async (_name, token, expected) => {
    expectProblem(await withToken(token(), verifier), 401, expected);
  });
});

describe('JWT_PUBLIC_KEY', () => {
  it.each(['RS384', 'RS512', 'PS256'] as const)('refuses %s of the right RSA key', async (algorithm) => {
    const key = signingKey('unused', 'RS256');
    const verifier = await service.another({ JWT_ACCESS_SECRET: '', JWT_PUBLIC_KEY: pemOf(key) });
    expectProblem(await withToken(tokenOf(key, { algorithm }), verifier), 401, INVALID);
    await verifier.close();
  });

  it('stops the start when it is no key', async () => {
    const start = service.another({ JWT_ACCESS_SECRET: '', JWT_PUBLIC_KEY: 'no key at all' });
    await expect(start).rejects.toThrow('JWT_PUBLIC_KEY');
  });
});

describe('JWT_JWKS_URI', () => {
  const rsa = signingKey('rsa-1', 'RS256');
  const ec = signingKey('ec-1', 'ES256');
  const next = signingKey('ec-2', 'ES256');
  let keys: JwksServer;
  let verifier: TestService;
  let close: () => Promise<void>;
  beforeEach(async () => {
    ({ keys, verifier, close } = await startVerifier(service, rsa, ec));
  });
  afterEach(async () => {
    vi.useRealTimers();
    await close();
  });
  const statusOf = async (token: string) => (await withToken(token, verifier)).status;
  const UNAVAILABLE = { code: 'auth.keys_unavailable' };

  it('takes tokens of every published key and asks for the keys once', async () => {
    const tokens = [rsa, ec, rsa, ec].map((key) => tokenOf(key));
    const statuses = await Promise.all([...tokens, ...tokens].map(statusOf));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(keys.requests).toBe(1);
  });

  it.each<[string, () => string]>([
    ['an unknown kid', () => tokenOf({ ...next, kid: 'unknown' })],
    ['no kid', () => accessToken({ sub: 'alice' }, { algorithm: 'ES256' }, ec.privateKey)],
    ['a kid that is no text', () => handmade({}, { header: { kid: { toString: 'rsa-1' } } })],
    ['a kid of 300 characters', () => tokenOf({ ...ec, kid: 'k'.repeat(300) })],
    ['a known kid with another key of its kind', () => tokenOf({ ...next, kid: ec.kid })],
    ['the kid of an RSA key on a token by ES256', () => tokenOf({ ...next, kid: rsa.kid })],
    ['the kid of an EC key on a token by RS256', () => tokenOf({ ...rsa, kid: ec.kid })],
    ['RS512 of the right key', () => tokenOf(rsa, { algorithm: 'RS512' })],
    [
      'HS256 with the published PEM as secret',
      () => handmade({}, { header: { kid: rsa.kid }, secret: pemOf(rsa) }),
    ],
    [
      'alg none with a known kid',
      () => handmade({}, { header: { kid: rsa.kid, alg: 'none' } }).replace(/[^.]*$/, ''),
    ],
    ['a header that is no JSON', () => `${Buffer.from('ETIMEDOUT').toString('base64url')}.e30.c`],
    [
      'a kid that climbs to an empty file',
      () => handmade({}, { header: { kid: '../../../../dev/null' }, secret: '' }),
    ],
    ['a kid that is a query', () => handmade({}, { header: { kid: "' UNION SELECT 'x'; --" }, secret: 'x' })],
    ['a kid that every object has', () => tokenOf({ ...ec, kid: '__proto__' })],
    ['a kid of another server', () => tokenOf({ ...next, kid: 'http://127.0.0.1:1/keys' })],
    ['an extension that is critical', () => signed(ec, GOOD_PAYLOAD(), { crit: ['x'], x: 1 })],
    ['a signature of zeros', () => tokenOf(ec).replace(/[^.]*$/, 'A'.repeat(86))],
  ])('refuses %s', async (_name, token) => {
    expectProblem(await withToken(token(), verifier), 401, INVALID);
    expect(await statusOf(tokenOf(rsa))).toBe(200);
  });

  it.each([
    ['null', INVALID],
    ['[]', WRONG_TYPE],
    ['42', WRONG_TYPE],
    ['"access"', WRONG_TYPE],
  ])('refuses claims of %s and goes on', async (payload, expected) => {
    for (const key of [rsa, ec])
      expectProblem(await withToken(signed(key, payload), verifier), 401, expected);
    expect(await statusOf(tokenOf(rsa))).toBe(200);
  });

  it('takes no key that a token brings along, and fetches none', async () => {
    const foreign = await new JwksServer().start();
    foreign.publish(jwkOf(next));
    const [jwk, pem] = [jwkOf(next), pemOf(next)];
    for (const kid of [next.kid, ec.kid, undefined])
      for (const header of [
        { jwk },
        { jku: foreign.uri },
        { x5u: foreign.uri },
        { x5c: [pem] },
        { iss: foreign.uri },
      ])
        expectProblem(
          await withToken(signed(next, GOOD_PAYLOAD(), { kid, ...header }), verifier),
          401,
          INVALID,
        );
    expect(foreign.requests).toBe(0);
    await foreign.stop();
  });

  it('refuses a key that is published for encryption', async () => {
    keys.publish(jwkOf(rsa), jwkOf(ec, { use: 'enc' }));
    expectProblem(await withToken(tokenOf(ec), verifier), 401, INVALID);
  });

  it('takes a new key as soon as it is published, and the old one until it is gone', async () => {
    expect(await statusOf(tokenOf(ec))).toBe(200);
    expectProblem(await withToken(tokenOf(next), verifier), 401, INVALID);
    keys.publish(jwkOf(ec), jwkOf(next));
    expect(await statusOf(tokenOf(next))).toBe(200);
    expect(await statusOf(tokenOf(ec))).toBe(200);
  });

  it('goes on with known keys while the key server is down, and answers 503 for others', async () => {
    expect(await statusOf(tokenOf(ec))).toBe(200);
    await keys.stop();
    expectProblem(await withToken(tokenOf(next), verifier), 503, UNAVAILABLE);
    expect(await statusOf(tokenOf(ec))).toBe(200);
    keys.publish(jwkOf(next));
    await keys.start();
    expect(await statusOf(tokenOf(next))).toBe(200);
  });

  it.each([
    ['an error', 500, 'oops'],
    ['something that is no JSON', 200, '<html></html>'],
    ['no keys', 200, '{"keys":[]}'],
    ['something without keys', 200, 'null'],
  ])('answers 503 when the key server answers with %s', async (_name, status, body) => {
    keys.answerWith(status, body);
    expectProblem(await withToken(tokenOf(ec), verifier), 503, UNAVAILABLE);
  });

  it('asks again after two minutes, so that a withdrawn key ends', async () => {
    stopMonotonicClock();
    expect(await statusOf(tokenOf(ec))).toBe(200);
    keys.publish(jwkOf(rsa));
    expect(await statusOf(tokenOf(ec))).toBe(200);
    vi.advanceTimersByTime(121_000);
    expectProblem(await withToken(tokenOf(ec), verifier), 401, INVALID);
  });

  it('goes on with known keys for a day without a key server, and no longer', async () => {
    stopMonotonicClock();
    expect(await statusOf(tokenOf(ec))).toBe(200);
    await keys.stop();
    vi.advanceTimersByTime(23 * 3_600_000);
    expect(await statusOf(tokenOf(ec))).toBe(200);
    vi.advanceTimersByTime(2 * 3_600_000);
    expectProblem(await withToken(tokenOf(ec), verifier), 503, UNAVAILABLE);
  });

  it('keeps taking good tokens while tokens of made-up keys arrive', async () => {
    const forged = Array.from({ length: 30 }, (_, index) => tokenOf({ ...next, kid: `made-up-${index}` }));
    for (const token of forged) expect([401, 503]).toContain(await statusOf(token));
    expect(keys.requests).toBeLessThanOrEqual(10);
    expect(await statusOf(tokenOf(ec))).toBe(200);
    expect(await statusOf(tokenOf(rsa))).toBe(200);
  });
});

describe('X-Internal-API-Key', () => {
  const WRONG = { code: 'auth.invalid_internal_key', message: 'Invalid internal API key' };
  const named = (key: string, headers: Record<string, string> = {}, on = service) =>
    on.anonymous().get('/api/credits/balance?userId=alice', { 'x-internal-api-key': key, ...headers });

  it('lets the right key act for a user it names', async () => {
    expect((await withToken(handmade())).status).toBe(200);
    const answer = await named(INTERNAL_KEY);
    expect(answer.status).toBe(200);
    expect(answer.body.userId).toBe('alice');
  });

  it.each([
    ['another', 'x'.repeat(INTERNAL_KEY.length)],
    ['an empty', ''],
    ['the beginning of the right', INTERNAL_KEY.slice(0, -1)],
    ['more than the right', `${INTERNAL_KEY}0`],
    ['the right in capitals', INTERNAL_KEY.toUpperCase()],
  ])('refuses %s key, also beside a good token', async (_name, key) => {
    expectProblem(await named(key), 401, WRONG);
    expectProblem(await named(key, { authorization: `Bearer ${handmade()}` }), 401, WRONG);
  });

  it('is one key when X-API-Key has the same: the internal key, or an API key by its form', async () => {
    const twice = (key: string) => named(key, { 'x-api-key': key });
    expect((await twice(INTERNAL_KEY)).body.userId).toBe('alice');
    const forwarded = { 'x-api-key': INTERNAL_KEY, authorization: `Bearer ${handmade()}` };
    expect((await named(INTERNAL_KEY, forwarded)).status).toBe(200);
    expectProblem(await twice('x'.repeat(INTERNAL_KEY.length)), 401, WRONG);
    const { body } = await service.as('alice').post<{ key: string }>('/api/api-keys', {
      name: 'both',
      permissions: ['credits:read'],
    });
    expect((await twice(body.key)).body.userId).toBe('alice');
    // It is not taken for the key of a service: it cannot act for another user.
    const headers = { 'x-internal-api-key': body.key, 'x-api-key': body.key };
    const other = await service.anonymous().get('/api/credits/balance?userId=bob', headers);
    expectProblem(other, 403, { code: 'auth.foreign_user' });
    expectProblem(await twice(`${body.key.slice(0, -2)}AA`), 401, { code: 'auth.invalid_api_key' });
  });

  it('does not make a bad token good', async () => {
    const authorization = `Bearer ${handmade({ type: 'refresh' })}`;
    expectProblem(await named(INTERNAL_KEY, { authorization }), 401, WRONG_TYPE);
  });

  it('is refused whatever it is when none is configured', async () => {
    const without = await service.another({ INTERNAL_API_KEY: '' });
    for (const key of [INTERNAL_KEY, '', 'undefined'])
      expectProblem(await named(key, {}, without), 401, WRONG);
    expect((await withToken(handmade(), without)).status).toBe(200);
    await without.close();
  });
});
