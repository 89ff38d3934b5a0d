import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { jwkOf, type JwksServer, signingKey, startVerifier, tokenOf } from '../../support/jwks-server.js';
import { stopMonotonicClock } from '../../support/monotonic-clock.js';
import { expectProblem } from '../../support/problems.js';
import { startService, type TestService } from '../../support/service.js';

const rsa = signingKey('rsa-1', 'RS256');
const ec = signingKey('ec-1');
const next = signingKey('ec-2');
const UNAVAILABLE = { code: 'auth.keys_unavailable' };
/** Five times the deadline of a fetch. */
const SOON_MILLISECONDS = 15_000;
const TOO_MUCH = 2_000_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let service: TestService;
let keys: JwksServer;
let verifier: TestService;
let close: () => Promise<void>;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());
beforeEach(async () => {
  ({ keys, verifier, close } = await startVerifier(service, rsa, ec));
});
afterEach(async () => {
  vi.useRealTimers();
  await close();
});

const ask = (token: string) =>
  verifier.anonymous().get('/api/credits/balance', { authorization: `Bearer ${token}` });
const statusOf = async (token: string) => (await ask(token)).status;

const allKeys = () => JSON.stringify({ keys: [jwkOf(rsa), jwkOf(ec), jwkOf(next)] });
let sentBytes = 0;

function sendForEver(response: ServerResponse): void {
  const part = Buffer.alloc(65_536, ' ');
  const send = () => {
    while (!response.destroyed) {
      sentBytes += part.length;
      if (!response.write(part)) return void response.once('drain', send);
    }
  };
  send();
}

const TROUBLES: [string, (response: ServerResponse) => unknown][] = [
  [
    'cut off before its announced end',
    (response) => {
      response.writeHead(200, { 'content-length': '10000' }).write(allKeys().slice(0, 100));
      setTimeout(() => response.destroy(), 50);
    },
  ],
  [
    'cut off between two chunks',
    (response) => {
      response.write(allKeys());
      setTimeout(() => response.destroy(), 50);
    },
  ],
  [
    'of one byte a second',
    (response) => {
      const timer = setInterval(() => response.write(' '), 1000);
      response.write('{');
      response.once('close', () => clearInterval(timer));
    },
  ],
  ['that never begins', () => undefined],
  ['without end', sendForEver],
  ['of 2 MB', (response) => response.end(allKeys() + ' '.repeat(TOO_MUCH))],
  [
    'of 2 MB, compressed to a few kB',
    (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(allKeys() + ' '.repeat(TOO_MUCH))),
  ],
  ['that leads elsewhere', (response) => response.writeHead(302, { location: '/elsewhere' }).end(allKeys())],
  ['of another status', (response) => response.writeHead(203).end(allKeys())],
  ['without keys', (response) => response.end('{"keys":[]}')],
  [
    'with no key for signatures',
    (response) => response.end(JSON.stringify({ keys: [{ kty: 'oct', k: 'AA' }] })),
  ],
  [
    'of 101 keys',
    (response) => response.end(JSON.stringify({ keys: Array.from({ length: 101 }, () => jwkOf(next)) })),
  ],
];

describe('an answer of the key server', () => {
  it.each(TROUBLES)('%s leaves known keys in service and ends with itself', async (_, trouble) => {
    expect(await statusOf(tokenOf(ec))).toBe(200);
    keys.answerBy(trouble);
    const begun = performance.now();
    const refused = ask(tokenOf(next));
    expect(await statusOf(tokenOf(rsa))).toBe(200);
    expectProblem(await refused, 503, UNAVAILABLE);
    expect(Number((await refused).headers.get('retry-after'))).toBeGreaterThan(0);
    expect(performance.now() - begun).toBeLessThan(SOON_MILLISECONDS);
    expect(await statusOf(tokenOf(ec))).toBe(200);
    keys.publish(jwkOf(next));
    expect(await statusOf(tokenOf(next))).toBe(200);
  });

  it.each(TROUBLES)('%s at the first request is a 503, and the next fetch recovers', async (_, trouble) => {
    keys.answerBy(trouble);
    expectProblem(await ask(tokenOf(ec)), 503, UNAVAILABLE);
    keys.publish(jwkOf(ec));
    expect(await statusOf(tokenOf(ec))).toBe(200);
  });

  it('that drips is given up in time also while garbage is collected, and the next one counts', async () => {
    keys.answerBy((response) => {
      const timer = setInterval(() => response.write(' '), 300);
      response.once('close', () => clearInterval(timer));
    });
    const collecting = setInterval(collectGarbage, 100);
    const lateAnswer = pause(SOON_MILLISECONDS, { status: 'never' }, { ref: false });
    expect(await Promise.race([ask(tokenOf(ec)), lateAnswer])).toMatchObject({ status: 503 });
    clearInterval(collecting);
    keys.publish(jwkOf(ec));
    expect(await statusOf(tokenOf(ec))).toBe(200);
  });

  it('without end is cut off after a megabyte, and what comes after it is not read', async () => {
    sentBytes = 0;
    const closed = new Promise<void>((done) =>
      keys.answerBy((response) => {
        response.once('close', () => done());
        sendForEver(response);
      }),
    );
    expectProblem(await ask(tokenOf(ec)), 503, UNAVAILABLE);
    await closed;
    // What the sockets of both sides hold comes on top.
    expect(sentBytes).toBeLessThan(30_000_000);
  });
});

describe('known keys', () => {
  it('serve at once while a fetch that has become due hangs, also after it has failed', async () => {
    stopMonotonicClock();
    expect(await statusOf(tokenOf(ec))).toBe(200);
    keys.answerBy(() => undefined);
    for (const seconds of [70, 20, 20]) {
      vi.advanceTimersByTime(seconds * 1000);
      expect(await statusOf(tokenOf(ec))).toBe(200);
    }
    // One that hangs is enough.
    expect(keys.requests).toBe(2);
    await keys.stop();
    await expect.poll(() => JSON.stringify(verifier.logs)).toContain('signing keys could not be fetched');
    vi.advanceTimersByTime(3_600_000);
    expect(await statusOf(tokenOf(ec))).toBe(200);
  });

  it('are fetched again in the background before they are too old to go without asking', async () => {
    stopMonotonicClock();
    expect(await statusOf(tokenOf(ec))).toBe(200);
    keys.publish(jwkOf(rsa));
    vi.advanceTimersByTime(70_000);
    expect(await statusOf(tokenOf(ec))).toBe(200);
    await expect.poll(() => statusOf(tokenOf(ec))).toBe(401);
    expect(await statusOf(tokenOf(rsa))).toBe(200);
  });

  it('make room for a new one within seconds, however many made-up ids are asked for', async () => {
    stopMonotonicClock();
    const forged = Array.from({ length: 30 }, (_, index) => tokenOf({ ...next, kid: `made-up-${index}` }));
    for (const token of forged) expect([401, 503]).toContain(await statusOf(token));
    expect(keys.requests).toBeLessThanOrEqual(6);
    keys.publish(jwkOf(rsa), jwkOf(next));
    expectProblem(await ask(tokenOf(next)), 503, UNAVAILABLE);
    vi.advanceTimersByTime(6000);
    expect(await statusOf(tokenOf(next))).toBe(200);
  });

  it('with one id are distinguished by their algorithm; of two that are not, the first counts', async () => {
    const sameIds = { kid: 'same' };
    keys.publish(jwkOf(rsa, sameIds), jwkOf(ec, sameIds), jwkOf(next, sameIds));
    expect(await statusOf(tokenOf({ ...rsa, ...sameIds }))).toBe(200);
    expect(await statusOf(tokenOf({ ...ec, ...sameIds }))).toBe(200);
    expect(await statusOf(tokenOf({ ...next, ...sameIds }))).toBe(401);
    expect(JSON.stringify(verifier.logs)).toContain('Two signing keys have one id');
  });
});
