import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { BrowserWithoutScripts } from '../support/browser-without-scripts.js';
import { jwkOf, JwksServer, signingKey, tokenOf } from '../support/jwks-server.js';
import { AUDIENCE, CLIENT_ID, OpenIdProvider } from '../support/openid-provider.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import jwt from 'jsonwebtoken';

const PUBLIC_URL = 'https://accounting.test';
const CALLBACK = `${PUBLIC_URL}/api/sign-in/callback`;

let bare: TestService;
let service: TestService;
let second: TestService;
let provider: OpenIdProvider;
beforeAll(async () => {
  bare = await startService();
  provider = await new OpenIdProvider().start(PUBLIC_URL);
  service = await bare.another(provider.settings(PUBLIC_URL));
  second = await bare.another(provider.settings(PUBLIC_URL));
});
afterEach(async () => {
  vi.useRealTimers();
  await provider.start(PUBLIC_URL);
  provider.reset();
});
afterAll(async () => {
  await second.close();
  await service.close();
  await provider.stop();
  await bare.close();
});

/** Nest has one logger for all applications of a process: that of the last one. */
const logs = () => JSON.stringify([bare, service, second].map((each) => each.logs));
const newBrowser = () => new BrowserWithoutScripts(PUBLIC_URL, service.url);

/** A browser in which this person has signed in. */
async function signedIn(person = freshUser(), claims: object = {}): Promise<BrowserWithoutScripts> {
  provider.person = person;
  provider.claims = { ...claims };
  const browser = newBrowser();
  expect(await browser.follow('/api/sign-in?returnTo=/console/usage', `${PUBLIC_URL}/console`)).toBe(
    `${PUBLIC_URL}/console/usage`,
  );
  return browser;
}

/** Where a sign-in that stops before the service takes the person back would go on. */
const callbackOf = (browser: BrowserWithoutScripts, change = (url: URL) => url) =>
  browser.follow('/api/sign-in', 'http').then((url) => browser.follow(change(new URL(url)).href, CALLBACK));

const statusOf = async (answer: Promise<Response>) => (await answer).status;
const me = async (browser: BrowserWithoutScripts) =>
  (await browser.script('/api/me')).json() as Promise<object>;
const rowsOf = async (person: string) =>
  (await bare.owner.query('SELECT * FROM console_sessions WHERE user_id = $1', [person])).rows as {
    tokens: string;
  }[];

/** Lets so much time pass, by the clock of the service and of the provider. */
function after(seconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000 });
}

describe('signing in', () => {
  it('leads to the address where the person was, with a session that every instance knows', async () => {
    const person = freshUser();
    const browser = await signedIn(person, { role: 'supervisor' });
    for (const { url } of [service, second]) {
      browser.at = url;
      expect(await me(browser)).toMatchObject({ userId: person, username: person, role: 'supervisor' });
    }
    expect(await statusOf(browser.script('/api/accounts'))).toBe(200);
  });

  it('gives the browser a cookie without tokens that no script, other site or plain connection gets', async () => {
    const person = freshUser();
    const cookie = (await signedIn(person)).cookie('session');
    expect(cookie?.name).toBe('__Host-accounting-session');
    expect(cookie?.value).toMatch(/^[\w-]{43}$/);
    const attributes = cookie?.attributes.split('; ').map((each) => each.replace(/^Expires=.*/, 'Expires'));
    expect(attributes?.sort()).toEqual(
      ['Expires', 'HttpOnly', 'Max-Age=43200', 'Path=/', 'SameSite=Strict', 'Secure'].sort(),
    );
    const stored = JSON.stringify(await rowsOf(person));
    expect(stored).not.toContain(cookie?.value);
    expect(stored).not.toMatch(/eyJ/);
    expect(logs()).not.toContain(cookie?.value);
  });

  it('asks the provider with PKCE, a state and a nonce, which are others each time', async () => {
    const asked = await Promise.all([1, 2].map(() => newBrowser().follow('/api/sign-in', 'http')));
    const [one, other] = asked.map((url) => new URL(url).searchParams) as [URLSearchParams, URLSearchParams];
    expect(Object.fromEntries(one)).toMatchObject({
      response_type: 'code',
      client_id: CLIENT_ID,
      redirect_uri: CALLBACK,
      scope: 'openid profile email',
      code_challenge_method: 'S256',
    });
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(one.get(name)).toMatch(/^[\w-]{43}$/);
      expect(one.get(name)).not.toBe(other.get(name));
    }
  });

  it('succeeds in two tabs that began at the same time', async () => {
    const browser = newBrowser();
    const callbacks = [await callbackOf(browser), await callbackOf(browser)];
    for (const callback of callbacks)
      expect(await browser.follow(callback, PUBLIC_URL)).toBe(`${PUBLIC_URL}/console`);
    expect(await statusOf(browser.script('/api/me'))).toBe(200);
  });

  it.each([
    'https://evil.example/console',
    '//evil.example/console',
    '/\\evil.example/console',
    '/console/../../evil',
    '/console@evil.example',
    'javascript:alert(1)//console',
    'https://accounting.test@evil.example/console',
    'http://accounting.test/console',
    '/api/docs',
    `/console/${'x'.repeat(600)}`,
    '/console\u0000',
    '',
  ])('never leads away from the console: %j', async (returnTo) => {
    const browser = newBrowser();
    const start = `/api/sign-in?${new URLSearchParams({ returnTo }).toString()}`;
    const end = new URL(await browser.follow(start, `${PUBLIC_URL}/console`));
    expect(end.origin).toBe(PUBLIC_URL);
    expect(end.pathname).toMatch(/^\/console(\/%00|%00)?$/);
  });

  it('leaves room in the headers of a request, however often a browser is sent to it', async () => {
    const browser = newBrowser();
    const start = `/api/sign-in?${new URLSearchParams({ returnTo: `/console/${'x'.repeat(450)}` }).toString()}`;
    for (let attempt = 0; attempt < 22; attempt++) {
      expect(await statusOf(browser.request(start))).toBe(302);
      expect(JSON.stringify([...browser.cookies]).length).toBeLessThan(8000);
    }
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
    expect(await browser.follow('/api/sign-in', `${PUBLIC_URL}/console`)).toBe(`${PUBLIC_URL}/console`);
  });

  it('makes a new session, whatever cookie the browser had, and ends the one before', async () => {
    const browser = await signedIn();
    const before = browser.cookie('session') as { name: string; value: string };
    await browser.follow('/api/sign-in', `${PUBLIC_URL}/console`);
    expect(browser.cookie('session')?.value).not.toBe(before.value);
    const thief = newBrowser();
    thief.cookies.set(`accounting.test ${before.name}`, { value: before.value, attributes: '' });
    expect(await statusOf(thief.script('/api/me'))).toBe(401);
    // One that was planted, and is of no session.
    const planted = 'A'.repeat(43);
    thief.cookies.set(`accounting.test ${before.name}`, { value: planted, attributes: '' });
    await thief.follow('/api/sign-in', `${PUBLIC_URL}/console`);
    expect(thief.cookie('session')?.value).not.toBe(planted);
  });
});

describe('a sign-in that is not the browser’s own is refused, and makes no session', () => {
  /** How it ends, and that there is no session. */
  async function ends(browser: BrowserWithoutScripts, callback: string, problem: string): Promise<void> {
    expect(await browser.follow(callback, `${PUBLIC_URL}/console`)).toBe(
      `${PUBLIC_URL}/console?signInProblem=${problem}`,
    );
    expect(browser.cookie('accounting-session')).toBeUndefined();
  }
  /** The same address with another parameter. */
  const withParameter = (address: string, name: string, value: string) => {
    const url = new URL(address);
    url.searchParams.set(name, value);
    return url;
  };
  const parameterOf = (address: string, name: string) => new URL(address).searchParams.get(name) as string;

  it('without the cookie of the attempt, as when another person sends the address (login CSRF)', async () => {
    await ends(newBrowser(), await callbackOf(newBrowser()), 'expired');
  });

  it('with the state of another attempt', async () => {
    const browser = newBrowser();
    const [callback, other] = [await callbackOf(browser), await callbackOf(newBrowser())];
    await ends(browser, withParameter(callback, 'state', parameterOf(other, 'state')).href, 'expired');
    // Its own cookie under the other's name.
    const cookie = browser.cookie('sign-in') as { value: string };
    const name = `accounting.test __Host-accounting-sign-in-${parameterOf(other, 'state').slice(0, 12)}`;
    browser.cookies.set(name, { ...cookie, attributes: '' });
    await ends(browser, withParameter(callback, 'state', parameterOf(other, 'state')).href, 'refused');
  });

  it('with the code of another attempt, whose PKCE verifier it does not have', async () => {
    const browser = newBrowser();
    const [callback, other] = [await callbackOf(browser), await callbackOf(newBrowser())];
    await ends(browser, withParameter(callback, 'code', parameterOf(other, 'code')).href, 'refused');
  });

  it.each(['code_challenge', 'nonce'])('with another %s than it began with', async (name) => {
    const browser = newBrowser();
    const callback = await callbackOf(browser, (url) => withParameter(url.href, name, 'x'.repeat(43)));
    await ends(browser, callback, 'refused');
  });

  it('with the answer of another issuer (mix-up)', async () => {
    const browser = newBrowser();
    const callback = await callbackOf(browser);
    expect(parameterOf(callback, 'iss')).toBe(provider.issuer);
    await ends(browser, withParameter(callback, 'iss', 'https://evil.example').href, 'refused');
  });

  it('a second time with the same address', async () => {
    const browser = newBrowser();
    const callback = await callbackOf(browser);
    const attempt = [...browser.cookies];
    expect(await browser.follow(callback, PUBLIC_URL)).toBe(`${PUBLIC_URL}/console`);
    expect(browser.cookie('sign-in')).toBeUndefined();
    const again = newBrowser();
    await ends(again, callback, 'expired');
    for (const [name, cookie] of attempt) again.cookies.set(name, cookie);
    await ends(again, callback, 'refused');
  });

  it('when the person or the provider says no', async () => {
    const browser = newBrowser();
    const callback = new URL(await callbackOf(browser));
    callback.searchParams.delete('code');
    await ends(browser, withParameter(callback.href, 'error', 'access_denied').href, 'refused');
  });

  it('when the provider’s access token is one that the API refuses, and the log names the claim', async () => {
    provider.audience = 'https://elsewhere.example.com';
    const browser = newBrowser();
    await ends(browser, await callbackOf(browser), 'rejected');
    expect(logs()).toContain('aud must name JWT_AUDIENCE');
  });

  it('while the provider is down, and succeeds when it is back', async () => {
    const fresh = await bare.another(provider.settings(PUBLIC_URL));
    const browser = newBrowser();
    browser.at = fresh.url;
    await provider.stop();
    await ends(browser, '/api/sign-in', 'unavailable');
    await provider.start(PUBLIC_URL);
    const callback = await callbackOf(browser);
    await provider.stop();
    await ends(browser, callback, 'unavailable');
    await provider.start(PUBLIC_URL);
    expect(await browser.follow('/api/sign-in', `${PUBLIC_URL}/console`)).toBe(`${PUBLIC_URL}/console`);
    await fresh.close();
  });
});

describe('a session’s cookie', () => {
  it.each<[string, Record<string, string>, number]>([
    ['the header and the page’s origin', { 'x-requested-by': 'console', origin: PUBLIC_URL }, 200],
    [
      'the header and a browser’s word',
      { 'x-requested-by': 'console', 'sec-fetch-site': 'same-origin' },
      200,
    ],
    ['no header', { 'sec-fetch-site': 'same-origin', origin: PUBLIC_URL }, 401],
    ['another header', { 'x-requested-by': 'other', 'sec-fetch-site': 'same-origin' }, 401],
    ['the header alone', { 'x-requested-by': 'console' }, 401],
    ['another origin', { 'x-requested-by': 'console', origin: 'https://evil.example' }, 401],
    ['an origin of its domain', { 'x-requested-by': 'console', origin: 'https://x.accounting.test' }, 401],
    ['no origin', { 'x-requested-by': 'console', origin: 'null' }, 401],
    ['a page of its domain', { 'x-requested-by': 'console', 'sec-fetch-site': 'same-site' }, 401],
    [
      'the right origin and a browser’s word against it',
      { 'x-requested-by': 'console', origin: PUBLIC_URL, 'sec-fetch-site': 'cross-site' },
      401,
    ],
  ])('with %s counts as it should', async (_, headers, status) => {
    const browser = await signedIn();
    expect(await statusOf(browser.request('/api/me', { headers }))).toBe(status);
  });

  it('does nothing for a form or a script of another page, and CORS lets none send the header', async () => {
    const person = freshUser();
    const browser = await signedIn(person);
    const body = JSON.stringify({ name: 'of another page' });
    const origin = 'https://evil.example';
    const post = (headers: Record<string, string>) =>
      browser.request('/api/api-keys', {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', origin, ...headers },
      });
    expect(await statusOf(post({}))).toBe(401);
    expect(await statusOf(post({ 'x-requested-by': 'console' }))).toBe(401);
    const made = await bare.owner.query('SELECT 1 FROM api_keys WHERE user_id = $1', [person]);
    expect(made.rowCount).toBe(0);
    const preflight = await browser.request('/api/api-keys', {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-requested-by',
      },
    });
    expect(preflight.headers.get('access-control-allow-headers')?.toLowerCase()).not.toContain(
      'x-requested-by',
    );
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
  });

  it.each([
    ['that is no secret', 'x'],
    ['of no session', 'A'.repeat(43)],
    ['that tries SQL', `'; DELETE FROM console_sessions; --`],
  ])('%s is a 401, as is a good one beside it', async (_, value) => {
    const browser = await signedIn();
    const { name, value: good } = browser.cookie('session') as { name: string; value: string };
    const headers = { 'x-requested-by': 'console', 'sec-fetch-site': 'same-origin' };
    const withCookie = (cookie: string) =>
      statusOf(fetch(`${service.url}/api/me`, { headers: { ...headers, cookie } }));
    expect(await withCookie(`${name}=${value}`)).toBe(401);
    expect(await withCookie(`${name}=${value}; ${name}=${good}`)).toBe(401);
    expect(await withCookie(`${name.replace('__Host-', '')}=${good}`)).toBe(401);
    expect(await withCookie(`${name}=${good}`)).toBe(200);
  });

  it('cannot open the tokens of another session', async () => {
    const [mallory, alice] = [freshUser('mallory'), freshUser('alice')];
    const browser = await signedIn(mallory);
    await signedIn(alice, { role: 'admin' });
    await bare.owner.query(
      `UPDATE console_sessions SET tokens = (SELECT tokens FROM console_sessions WHERE user_id = $2) WHERE user_id = $1`,
      [mallory, alice],
    );
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
  });

  it('changes nothing for callers with a token or a key', async () => {
    const browser = await signedIn(freshUser(), { role: 'admin' });
    const own = (await browser
      .script('/api/api-keys', {
        method: 'POST',
        body: JSON.stringify({ name: 'own', permissions: ['credits:read'] }),
        headers: { 'content-type': 'application/json' },
      })
      .then((answer) => answer.json())) as { key: string };
    const withHeaders = (headers: Record<string, string>, path = '/api/me') =>
      browser.script(path, { headers });
    expect(await statusOf(withHeaders({ authorization: 'Bearer nonsense' }))).toBe(401);
    expect(await statusOf(withHeaders({ 'x-api-key': own.key }, '/api/credits/balance'))).toBe(200);
    expect(await statusOf(withHeaders({ 'x-api-key': own.key }, '/api/accounts'))).toBe(403);
    expect(await statusOf(withHeaders({ 'x-api-key': `ak_${'k'.repeat(43)}` }))).toBe(401);
    expect(await statusOf(withHeaders({ 'x-internal-api-key': 'wrong' }))).toBe(401);
  });

  it('is of no use where no provider is configured: the routes are not there', async () => {
    const browser = await signedIn();
    browser.at = bare.url;
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
    expectProblem(await bare.anonymous().get('/api/sign-in'), 404);
    expectProblem(await bare.anonymous().get('/api/sign-in/callback?code=1&state=2'), 404);
    expectProblem(await bare.anonymous().post('/api/sign-in/end'), 404);
  });
});

describe('a session', () => {
  it('gets its next access token once, for all requests of all instances, also after the old one has expired', async () => {
    const browser = await signedIn();
    after(600);
    const asked = [service, second, service, second, service, second].flatMap(({ url }) => {
      browser.at = url;
      return [browser.script('/api/me'), browser.script('/api/credits/balance')];
    });
    expect(await Promise.all(asked.map(statusOf))).toEqual(asked.map(() => 200));
    expect(provider.renewals).toBe(1);
    after(1200);
    expect(await statusOf(browser.script('/api/me'))).toBe(200);
    expect(provider.renewals).toBe(2);
  });

  it('gets it in time, without a request that waits for it', async () => {
    const person = freshUser();
    const browser = await signedIn(person);
    const [before] = await rowsOf(person);
    after(270);
    await provider.stop();
    expect(await statusOf(browser.script('/api/me'))).toBe(200);
    await provider.start(PUBLIC_URL);
    await vi.waitFor(async () => {
      expect(await statusOf(browser.script('/api/me'))).toBe(200);
      expect((await rowsOf(person))[0]?.tokens).not.toBe(before?.tokens);
    });
    expect(provider.renewals).toBe(1);
  });

  it('is a 503 while its access token has expired and the provider is down, and goes on when it is back', async () => {
    const browser = await signedIn();
    after(600);
    await provider.stop();
    const answer = await browser.script('/api/me');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(await answer.json()).toMatchObject({ code: 'auth.provider_unavailable' });
    await provider.start(PUBLIC_URL);
    expect(await statusOf(browser.script('/api/me'))).toBe(200);
  });

  it.each([
    [200, '{}'],
    [200, 'null'],
    [400, '{"error": "temporarily_unavailable"}'],
    [400, '{"error": "invalid_client"}'],
    [429, '{"error": "slow_down"}'],
    [500, '{}'],
  ])('goes on after the provider has answered its renewal with %i %s', async (status, body) => {
    const person = freshUser();
    const browser = await signedIn(person);
    after(600);
    provider.trouble = { status, body };
    const begun = performance.now();
    const asked = [service, second].map(({ url }) => {
      browser.at = url;
      return browser.script('/api/me');
    });
    expect(await Promise.all(asked.map(statusOf))).toEqual([503, 503]);
    // One of the two waits for the other, but not when that has given up.
    expect(performance.now() - begun).toBeLessThan(5000);
    provider.trouble = undefined;
    expect(await statusOf(browser.script('/api/me'))).toBe(200);
  });

  it('is over when its refresh token has expired, and leaves nothing', async () => {
    const person = freshUser();
    provider.refreshSeconds = 900;
    const browser = await signedIn(person);
    after(1000);
    expect(await (await browser.script('/api/me')).json()).toMatchObject({ code: 'auth.token_expired' });
    expect(await rowsOf(person)).toEqual([]);
  });

  it('ends with its access token where the provider gives out no refresh tokens', async () => {
    provider.givesRefreshTokens = false;
    const browser = await signedIn();
    const { expiresAt } = (await me(browser)) as { expiresAt: string };
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(300_000);
    after(301);
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
  });

  it('is over after OIDC_SESSION_HOURS, however active it is', async () => {
    const person = freshUser();
    const browser = await signedIn(person);
    await bare.owner.query('UPDATE console_sessions SET ends_at = now() WHERE user_id = $1', [person]);
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
    await signedIn();
    expect(await rowsOf(person)).toEqual([]);
  });

  it('does not become another person’s by a token that the provider gives out for it later', async () => {
    const [alice, bob] = [freshUser('alice'), freshUser('bob')];
    const browser = await signedIn(alice);
    await bare.owner.query('UPDATE console_sessions SET user_id = $2 WHERE user_id = $1', [alice, bob]);
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
    expect(await rowsOf(bob)).toEqual([]);
  });
});

describe('signing out', () => {
  it('ends the session in every tab and on every instance, and leads to the provider’s own page', async () => {
    const person = freshUser();
    const tab = await signedIn(person);
    const { name, value } = tab.cookie('session') as { name: string; value: string };
    const other = new BrowserWithoutScripts(PUBLIC_URL, second.url);
    other.cookies.set(`accounting.test ${name}`, { value, attributes: '' });
    expect(await statusOf(other.script('/api/me'))).toBe(200);
    const answer = await tab.script('/api/sign-in/end', { method: 'POST' });
    const { continueAt } = (await answer.json()) as { continueAt: string };
    expect(tab.cookie('session')).toBeUndefined();
    expect(await statusOf(other.script('/api/me'))).toBe(401);
    expect(await rowsOf(person)).toEqual([]);
    const { origin, searchParams } = new URL(continueAt);
    expect(origin).toBe(provider.issuer);
    expect(searchParams.get('post_logout_redirect_uri')).toBe(`${PUBLIC_URL}/console`);
    expect(jwt.decode(searchParams.get('id_token_hint') as string)).toMatchObject({ sub: person });
    // Again, as the second tab does.
    expect(await (await other.script('/api/sign-in/end', { method: 'POST' })).json()).toEqual({
      continueAt: null,
    });
  });

  it('is refused for another page, and the session goes on', async () => {
    const browser = await signedIn();
    for (const headers of [{}, { 'x-requested-by': 'console', origin: 'https://evil.example' }] as Record<
      string,
      string
    >[])
      expect(await statusOf(browser.request('/api/sign-in/end', { method: 'POST', headers }))).toBe(403);
    expect(await statusOf(browser.script('/api/me'))).toBe(200);
  });

  it('succeeds also while the provider is down and the access token has expired', async () => {
    const browser = await signedIn();
    after(600);
    await provider.stop();
    expect(await statusOf(browser.script('/api/sign-in/end', { method: 'POST' }))).toBe(200);
    await provider.start(PUBLIC_URL);
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
  });

  it('is not undone by a renewal under way', async () => {
    const browser = await signedIn();
    const cookies = [...browser.cookies];
    after(600);
    const [renewed] = await Promise.all([
      statusOf(browser.script('/api/me')),
      statusOf(browser.script('/api/sign-in/end', { method: 'POST' })),
    ]);
    expect([200, 401]).toContain(renewed);
    for (const [name, cookie] of cookies) browser.cookies.set(name, cookie);
    expect(await statusOf(browser.script('/api/me'))).toBe(401);
  });
});

/** Claims as the providers' documentation has them, with what an operator configures for each. */
const FORMS = {
  Keycloak: {
    env: {
      JWT_ISSUER: 'https://sso.example.com/realms/platform',
      JWT_AUDIENCE: 'accounting',
      JWT_CLAIM_USERNAME: 'preferred_username',
      JWT_CLAIM_ROLE: 'realm_access.roles',
      JWT_TOKEN_TYPE_CLAIM: 'typ=Bearer',
    },
    claims: {
      sub: '36fa0f91-f94d-4a0c-afed-6b7d952e47da',
      typ: 'Bearer',
      aud: ['accounting', 'account'],
      azp: 'console',
      preferred_username: 'ada',
      email: 'ada@example.com',
      realm_access: { roles: ['default-roles-platform', 'offline_access', 'supervisor'] },
      resource_access: { account: { roles: ['manage-account'] } },
      scope: 'openid email profile',
    },
    idToken: { typ: 'ID', aud: 'accounting' },
  },
  Auth0: {
    env: {
      JWT_ISSUER: 'https://tenant.eu.auth0.com/',
      JWT_AUDIENCE: AUDIENCE,
      JWT_CLAIM_USERNAME: 'https://accounting.example.com/username',
      JWT_CLAIM_EMAIL: 'https://accounting.example.com/email',
      JWT_CLAIM_ROLE: 'https://accounting.example.com/roles',
      JWT_TOKEN_TYPE_CLAIM: 'off',
    },
    claims: {
      sub: 'auth0|6553da60a54af58e29493993',
      aud: [AUDIENCE, 'https://tenant.eu.auth0.com/userinfo'],
      azp: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
      scope: 'openid profile email offline_access',
      'https://accounting.example.com/username': 'ada',
      'https://accounting.example.com/email': 'ada@example.com',
      'https://accounting.example.com/roles': ['supervisor'],
    },
    idToken: { aud: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja' },
  },
  Entra: {
    env: {
      JWT_ISSUER: 'https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0',
      JWT_AUDIENCE: '00001111-aaaa-2222-bbbb-3333cccc4444',
      JWT_CLAIM_USERNAME: 'preferred_username',
      JWT_CLAIM_ROLE: 'roles',
      JWT_TOKEN_TYPE_CLAIM: 'scp=access',
    },
    claims: {
      sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ',
      aud: '00001111-aaaa-2222-bbbb-3333cccc4444',
      azp: '22223333-cccc-4444-dddd-5555eeee6666',
      azpacr: '1',
      oid: '11112222-bbbb-3333-cccc-4444dddd5555',
      tid: 'aaaabbbb-0000-cccc-1111-dddd2222eeee',
      preferred_username: 'ada@example.com',
      email: 'ada@example.com',
      roles: ['user', 'supervisor'],
      scp: 'access',
      ver: '2.0',
    },
    idToken: { scp: undefined },
  },
};

describe.each(Object.entries(FORMS))('access tokens of the form of %s', (_, { env, claims, idToken }) => {
  const key = signingKey('k1', 'RS256');
  let keys: JwksServer;
  let verifier: TestService;
  beforeAll(async () => {
    keys = await new JwksServer().start();
    keys.publish(jwkOf(key));
    verifier = await bare.another({ JWT_ACCESS_SECRET: '', JWT_JWKS_URI: keys.uri, ...env });
  });
  afterAll(async () => {
    await verifier.close();
    await keys.stop();
  });
  const withClaims = (more: object = {}) => {
    const present = Object.entries({ iss: env.JWT_ISSUER, ...claims, ...more }).filter(
      ([, value]) => value !== undefined,
    );
    const token = jwt.sign(Object.fromEntries(present), key.privateKey, {
      algorithm: 'RS256',
      keyid: key.kid,
      expiresIn: 300,
    });
    return verifier.anonymous().get('/api/me', { authorization: `Bearer ${token}` });
  };

  it('are of the person, with the name and the highest role in them', async () => {
    const { body } = await withClaims();
    const username = String((claims as Record<string, unknown>)[env.JWT_CLAIM_USERNAME]);
    expect(body).toMatchObject({ userId: claims.sub, username, role: 'supervisor' });
    const { rows } = await bare.owner.query('SELECT email, role FROM user_accounts WHERE user_id = $1', [
      claims.sub,
    ]);
    expect(rows).toEqual([{ email: 'ada@example.com', role: 'supervisor' }]);
  });

  it('are refused by the claim’s name when they are of another issuer or for another audience', async () => {
    for (const iss of ['https://evil.example', `${env.JWT_ISSUER}x`, [env.JWT_ISSUER], undefined])
      expectProblem(await withClaims({ iss }), 401, { code: 'auth.invalid_token', field: 'iss' });
    for (const aud of ['other', ['other', 'account'], '', undefined])
      expectProblem(await withClaims({ aud }), 401, { code: 'auth.invalid_token', field: 'aud' });
  });

  it('are refused when they are ID tokens, or lack the name', async () => {
    expect((await withClaims({ ...idToken, nonce: 'n' })).status).toBe(401);
    expectProblem(await withClaims({ [env.JWT_CLAIM_USERNAME]: undefined }), 401, {
      field: env.JWT_CLAIM_USERNAME,
    });
  });

  it('are not asked for what this service’s own tokens have', async () => {
    expect((await withClaims({ type: 'refresh', role: 'admin' })).body).toMatchObject({ role: 'supervisor' });
    const foreign = tokenOf(key);
    expect((await verifier.anonymous().get('/api/me', { authorization: `Bearer ${foreign}` })).status).toBe(
      401,
    );
  });
});
