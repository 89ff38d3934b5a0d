import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { accessToken, startService } from '../../testing/service.js';
import { Accounting, AccountingError, AccountingUnavailable, CreditsExhausted } from '../src/index.js';
import { call, GPT, until, User } from './support/world.js';

const world = inject('world');
const request = { modelId: GPT, inputTokens: 100, maxOutputTokens: 1000 };
const ofUser = (user: User, options: object = {}) => user.accounting(options);

/** The service behind a counter of requests; reports may be kept waiting, and the answers to holds. */
async function countingProxy(progressDelayMilliseconds = 0, answerDelayMilliseconds = 0) {
  const paths: string[] = [];
  let under = 0;
  let most = 0;
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      paths.push(incoming.url!.split('/').at(-1)!);
      most = Math.max(most, ++under);
      let body = '';
      for await (const chunk of incoming.setEncoding('utf8')) body += String(chunk);
      if (incoming.url!.endsWith('progress')) await pause(progressDelayMilliseconds);
      const { host: _, ...headers } = incoming.headers as Record<string, string>;
      const answer = await fetch(world.url + incoming.url!, { method: incoming.method!, headers, body });
      if (incoming.url!.endsWith('initialize')) await pause(answerDelayMilliseconds);
      under--;
      outgoing
        .writeHead(answer.status, { 'content-type': answer.headers.get('content-type')! })
        .end(await answer.text());
    })();
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = () => new Promise((stopped) => server.close(stopped).closeAllConnections());
  return { url, paths, mostAtOnce: () => most, stop };
}

describe('a session', () => {
  it('holds, is settled by finalize, and returns the rest', async () => {
    const user = await User.with(world, 10_000);
    const session = await ofUser(user).session({ ...request, tags: { feature: 'x' } });
    expect(session.maxOutputTokens).toBe(1000);
    expect(await user.available()).toBe(10_000 - session.held!.allocatedCredits);
    const settled = await session.finalize({ inputTokens: 100, outputTokens: 50 });
    expect(settled).toMatchObject({ actualCredits: 150, status: 'completed' });
    expect(await user.available()).toBe(9_850);
    expect((await user.onlyRecord()).tags).toEqual({ feature: 'x' });
  });

  it('is settled once: a second settlement is an error and no request', async () => {
    const user = await User.with(world, 10_000);
    const session = await ofUser(user).session(request);
    const settling = [session.finalize({ inputTokens: 100, outputTokens: 50 }), session.abort(7)];
    const [first, second] = await Promise.allSettled(settling);
    expect(first!.status).toBe('fulfilled');
    expect((second as PromiseRejectedResult).reason).toMatchObject({ code: 'client.session_settled' });
    expect((await user.onlyRecord()).credits).toBe(150);
  });

  it('stays open when the service refuses the usage as malformed', async () => {
    const user = await User.with(world, 10_000);
    const session = await ofUser(user, { onError: () => undefined }).session(request);
    const wrong = session.finalize({ provider: 'openai', usage: { tokens: -1 } });
    await expect(wrong).rejects.toMatchObject({ status: 400, code: 'validation.failed' });
    await session.finalize({ inputTokens: 1, outputTokens: 1 });
    expect((await user.onlyRecord()).credits).toBe(2);
  });

  it('charges nothing for an abort without tokens, and the prompt for one with some', async () => {
    const user = await User.with(world, 10_000);
    await (await ofUser(user).session(request)).abort();
    expect(await user.available()).toBe(10_000);
    await (await ofUser(user).session(request)).abort(20);
    expect(await user.available()).toBe(10_000 - 120);
  });

  it('refuses an id in use: with the same content in this process, with other content anywhere', async () => {
    const user = await User.with(world, 10_000);
    const accounting = ofUser(user);
    const sessionId = randomUUID();
    const session = await accounting.session({ ...request, sessionId });
    await expect(accounting.session({ ...request, sessionId })).rejects.toMatchObject({
      code: 'client.session_open',
    });
    const other = ofUser(user).session({ ...request, sessionId, inputTokens: 7 });
    await expect(other).rejects.toMatchObject({ status: 409, code: 'session.conflict' });
    await session.finalize({ inputTokens: 1, outputTokens: 1 });
    await expect(accounting.session({ ...request, sessionId })).rejects.toMatchObject({ status: 409 });
    expect(await user.records()).toHaveLength(1);
  });

  it('lowers its maximum to what the credits pay for, and refuses what they hardly pay for', async () => {
    const user = await User.with(world, 300);
    const session = await ofUser(user).session(request);
    expect(session.maxOutputTokens).toBe(200);
    await session.abort(0);
    const poor = ofUser(user, { minOutputTokens: 201 }).session(request);
    await expect(poor).rejects.toBeInstanceOf(CreditsExhausted);
    await expect(poor).rejects.toMatchObject({ status: 402, maxAffordableTokens: 200 });
    expect(await user.openSessions()).toBe(0);
  });

  it('reports the newest count, one request at a time, and never makes the caller wait', async () => {
    const proxy = await countingProxy(50);
    const user = await User.with(world, 100_000);
    const session = await ofUser(user, { baseUrl: proxy.url, progress: { everyTokens: 10 } }).session(
      request,
    );
    let longest = 0;
    for (let tokens = 1; tokens <= 500; tokens++) {
      const begun = performance.now();
      session.report(tokens);
      longest = Math.max(longest, performance.now() - begun);
      if (tokens % 50 === 0) await pause(20);
    }
    await pause(200);
    const reports = proxy.paths.filter((path) => path === 'progress').length;
    expect(proxy.mostAtOnce()).toBe(1);
    expect(reports).toBeLessThan(12);
    expect(longest).toBeLessThan(50);
    const [active] = await call<{ tokensGenerated: number }[]>(
      world,
      'GET',
      `/streaming-sessions/active/${user.id}`,
    );
    expect(active!.tokensGenerated).toBe(500);
    await session.abort(0);
    await proxy.stop();
  });

  it('reports after some seconds what too few tokens have not', async () => {
    const user = await User.with(world, 10_000);
    const session = await ofUser(user, { progress: { everySeconds: 0.1 } }).session(request);
    for (const tokens of [1, 3]) {
      session.report(tokens);
      await until('reported', async () => {
        const [active] = await call<{ tokensGenerated: number }[]>(
          world,
          'GET',
          `/streaming-sessions/active/${user.id}`,
        );
        return active!.tokensGenerated === tokens;
      });
    }
    await session.abort(0);
  });

  it('asks at the last token that is paid for, and stops there', async () => {
    const user = await User.with(world, 200);
    const session = await ofUser(user).session(request);
    let tokens = 0;
    while (!session.stopped && tokens < 1000) {
      session.report(++tokens);
      await session.askAtLimit();
    }
    expect(tokens).toBe(101);
    await session.abort(100);
    expect(await user.available()).toBe(0);
  });

  it('aborts its signal with CreditsExhausted when it should stop', async () => {
    const user = await User.with(world, 150);
    const session = await ofUser(user, { progress: { everyTokens: 10 } }).session({
      ...request,
      maxOutputTokens: 20,
    });
    expect(session.stopped).toBeUndefined();
    session.report(200);
    await until('stopped', () => session.signal.aborted);
    expect(session.stopped).toBeInstanceOf(CreditsExhausted);
    expect(session.stopped).toMatchObject({ code: 'credits.insufficient', generatedTokens: 200 });
    await session.finalize({ inputTokens: 100, outputTokens: 40, success: false });
  });
});

describe('callers', () => {
  it('for() adds user, payer and tags to a connection that names no caller', async () => {
    const user = await User.with(world, 1000);
    const accounting = ofUser(user, { userId: undefined, tags: { app: 'a' } });
    const scoped = accounting.for({ tags: { feature: 'b' } }).for({ userId: user.id });
    await (await scoped.session(request)).finalize({ inputTokens: 10, outputTokens: 0 });
    expect((await user.onlyRecord()).tags).toEqual({ app: 'a', feature: 'b' });
  });

  it('for() replaces a caller wholly: neither token nor account nor tags of the one before go with another', async () => {
    const [one, other] = [await User.with(world, 1000), await User.with(world, 1000)];
    const mine = { accountId: 'org:of-one', tags: { team: 'a' } };
    const token = (user: User) => accessToken(world.jwtSecret, { sub: user.id });
    const byId = ofUser(one, { ...mine, token: token(one) });
    const byToken = ofUser(one, mine);
    for (const scoped of [byId.for({ userId: other.id }), byToken.for({ token: token(other) })])
      await (await scoped.session(request)).finalize({ inputTokens: 10, outputTokens: 0 });
    const records = await other.records();
    expect(records.map(({ accountId, tags }) => [accountId, tags])).toEqual([
      [other.id, null],
      [other.id, null],
    ]);
    expect(await one.records()).toHaveLength(0);
    // A caller that is named by nothing is none: the one before does not pay.
    await expect(byId.for({ userId: undefined }).session(request)).rejects.toBeInstanceOf(AccountingError);
  });

  it('a trusted service forwards the token of its user; the settlement outlives the token', async () => {
    const user = await User.with(world, 1000);
    const { internalApiKey, url, jwtSecret } = world;
    let isExpired = false;
    const token = () => (isExpired ? 'expired' : accessToken(jwtSecret, { sub: user.id }));
    const session = await new Accounting({ baseUrl: url, internalApiKey, token }).session(request);
    isExpired = true;
    await session.finalize({ inputTokens: 10, outputTokens: 0 });
    expect((await user.onlyRecord()).credits).toBe(10);
  });

  it('a wrong key is an AccountingError of 401 before anything else', async () => {
    const accounting = new Accounting({
      baseUrl: world.url,
      internalApiKey: 'x'.repeat(64),
      userId: 'alice',
    });
    await expect(accounting.session(request)).rejects.toMatchObject({ status: 401 });
  });

  it('refuses options that contradict each other', () => {
    expect(() => new Accounting({ baseUrl: world.url })).toThrow(AccountingError);
    const failOpen = { maxCredits: 1, spool: '/nowhere/spool' };
    expect(() => new Accounting({ baseUrl: world.url, token: 'x', failOpen })).toThrow(/failOpen needs/);
  });
});

describe('when the service does not answer', () => {
  it('fails a call by default, within the time-out', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((ready) => silent.listen(0, '127.0.0.1', ready));
    const baseUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const user = new User(world);
    const calling = ofUser(user, { baseUrl, timeoutSeconds: 0.2, onError: () => undefined }).session(request);
    await expect(calling).rejects.toBeInstanceOf(AccountingUnavailable);
    await expect(calling).rejects.toMatchObject({ status: 503, code: 'client.unavailable' });
    silent.close().closeAllConnections();
    const refused = ofUser(user, { baseUrl }).session(request);
    await expect(refused).rejects.toBeInstanceOf(AccountingUnavailable);
  });

  it('returns what a hold took that was answered too late', async () => {
    const proxy = await countingProxy(0, 400);
    const user = await User.with(world, 10_000);
    const accounting = ofUser(user, { baseUrl: proxy.url, timeoutSeconds: 0.2 });
    await expect(accounting.session(request)).rejects.toBeInstanceOf(AccountingUnavailable);
    await until('held', async () => (await user.openSessions()) === 1);
    await until('returned', async () => (await user.openSessions()) === 0);
    expect(await user.available()).toBe(10_000);
    await proxy.stop();
  });

  it('keeps a settlement and repeats it until the service is back', { timeout: 60_000 }, async () => {
    const data = await mkdtemp(join(tmpdir(), 'accounting-client-'));
    const first = await startService({ data });
    const own = { ...world, ...first };
    const user = await User.with(own, 10_000);
    const accounting = user.accounting();
    const session = await accounting.session(request);
    await first.stop();
    expect(await session.finalize({ inputTokens: 100, outputTokens: 50 })).toBeUndefined();
    const again = await startService({ data, port: Number(new URL(first.url).port) });
    await until('settled', async () => (await user.records()).length === 1);
    await accounting.settled();
    await again.stop();
    await rm(data, { recursive: true });
  });
});
