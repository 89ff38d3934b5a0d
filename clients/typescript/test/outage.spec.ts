import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import type { Api } from '../src/api.js';
import { type Accounting, AccountingUnavailable } from '../src/index.js';
import { metered } from '../src/openai.js';
import { Outbox } from '../src/outbox.js';
import { Spool } from '../src/spool.js';
import { Gate } from './support/gate.js';
import { Program } from './support/program.js';
import { fake, GPT, PROMPT, until, User } from './support/world.js';

const world = inject('world');
const request = { modelId: GPT, inputTokens: 10, maxOutputTokens: 100 };
let gate: Gate;
let directory: string;
let spool: string;
const opened: Accounting[] = [];

beforeEach(async () => {
  gate = new Gate(world.url);
  await gate.open();
  directory = await mkdtemp(join(tmpdir(), 'accounting-spool-'));
  spool = join(directory, 'spool');
});
afterEach(async () => {
  for (const accounting of opened.splice(0)) accounting.close();
  await gate.shut();
  await rm(directory, { recursive: true });
});

function connect(user: User, failOpen: object = {}, options: object = {}): Accounting {
  const bounds = { maxCredits: 1000, spool, ...failOpen };
  const accounting = user.accounting({ baseUrl: gate.url, failOpen: bounds, timeoutSeconds: 1, ...options });
  opened.push(accounting);
  return accounting;
}
const close = (accounting: Accounting) => opened.splice(opened.indexOf(accounting), 1)[0]!.close();

describe('failOpen', () => {
  it('lets calls through up to its bound, and charges each when the service is back', async () => {
    const user = await User.with(world, 10_000);
    const accounting = connect(user, { maxCredits: 30, creditsPerCall: 10 });
    await gate.shut();
    const sessions = await Promise.all([1, 2, 3].map(() => accounting.session(request)));
    await expect(accounting.session(request)).rejects.toBeInstanceOf(AccountingUnavailable);
    for (const session of sessions) await session.finalize({ inputTokens: 10, outputTokens: 40 });
    // What is not settled yet still counts.
    await expect(accounting.session(request)).rejects.toBeInstanceOf(AccountingUnavailable);
    await gate.open();
    await until('charged', async () => (await user.records()).length === 3);
    expect(await user.available()).toBe(10_000 - 150);
    await (await accounting.session(request)).abort(0);
  });

  it('has a call that the account cannot pay reviewed, and the calls of others charged after it', async () => {
    const [poor, rich] = [await User.with(world, 1), await User.with(world, 10_000)];
    const accounting = connect(poor);
    await gate.shut();
    for (const { id: userId } of [poor, rich]) {
      const session = await accounting.for({ userId }).session({ ...request, sessionId: 'conversation-1' });
      await session.finalize({ inputTokens: 10, outputTokens: 40 });
    }
    await gate.open();
    await until('charged', async () => (await rich.records()).length === 1);
    expect(await poor.records()).toMatchObject([{ credits: 50, billingStatus: 'needs_review' }]);
    expect(await rich.available()).toBe(10_000 - 50);
  });

  it('lets no call through whose user is known by a token alone: it may be forged', async () => {
    const user = await User.with(world, 10_000);
    const claims = Buffer.from(JSON.stringify({ sub: user.id })).toString('base64url');
    const accounting = connect(user).for({ token: `e30.${claims}.forged` });
    await gate.shut();
    await expect(accounting.session(request)).rejects.toBeInstanceOf(AccountingUnavailable);
  });

  it('assumes for a call what the latest hold of its model was', async () => {
    const user = await User.with(world, 10_000);
    const accounting = connect(user, { maxCredits: 250 });
    const session = await accounting.session(request);
    await session.abort(0);
    const assumed = session.held!.allocatedCredits;
    await gate.shut();
    const possible = Math.floor(250 / assumed);
    for (let calls = 0; calls < possible; calls++) await (await accounting.session(request)).abort(0);
    await expect(accounting.session(request)).rejects.toBeInstanceOf(AccountingUnavailable);
    await gate.open();
  });

  it('finalizes the session of a call that was held before the outage: no second charge', async () => {
    const user = await User.with(world, 10_000);
    const accounting = connect(user);
    const session = await accounting.session(request);
    await gate.shut();
    expect(await session.finalize({ inputTokens: 10, outputTokens: 40 })).toBeUndefined();
    await gate.open();
    await until('settled', async () => (await user.openSessions()) === 0);
    expect(await user.onlyRecord()).toMatchObject({ service: 'chat-streaming', credits: 50 });
  });

  it('meters a stream of a provider through an outage with its usage', async () => {
    const user = await User.with(world, 10_000);
    const accounting = connect(user);
    await gate.shut();
    const plain = new OpenAI({ apiKey: 'any', baseURL: `${world.provider}/v1` });
    const messages = [{ role: 'user' as const, content: PROMPT }];
    const openai = metered(plain, { accounting });
    for await (const _ of await openai.chat.completions.create(
      { model: GPT, messages, stream: true },
      fake({ tokens: 30 }),
    ));
    await gate.open();
    await until('charged', async () => (await user.records()).length === 1);
    expect(await user.onlyRecord()).toMatchObject({
      usageSource: 'provider',
      quantities: { input: 27, output: 30 },
      sessionId: null,
    });
  });
});

it('an outage at the last credit does not stop a stream', async () => {
  const user = await User.with(world, 100);
  const session = await connect(user).session(request);
  await gate.shut();
  for (let tokens = 1; tokens <= 100; tokens++) {
    session.report(tokens);
    await session.askAtLimit();
  }
  expect(session.stopped).toBeUndefined();
  await gate.open();
  await session.abort(0);
});

it('a settlement is repeated every 5 seconds at least, however long an outage lasts', async () => {
  vi.useFakeTimers();
  const attempts: number[] = [];
  const call = () => {
    attempts.push(Date.now());
    return Promise.reject(new AccountingUnavailable('down', { code: 'client.unavailable' }));
  };
  const headers = () => Promise.resolve({});
  const outbox = new Outbox({ call } as unknown as Api, undefined, headers, () => undefined);
  await outbox.settle({ id: 'one', route: 'abort', body: {} }, headers);
  await vi.advanceTimersByTimeAsync(120_000);
  outbox.close();
  vi.useRealTimers();
  const waits = attempts.slice(1).map((at, index) => at - attempts[index]!);
  expect(Math.max(...waits)).toBeLessThanOrEqual(5000);
  // They differ by chance, and grow at first.
  expect(new Set(waits.slice(-10)).size).toBeGreaterThan(5);
  expect(Math.min(...waits.slice(-10))).toBeGreaterThanOrEqual(2500);
});

describe('the spool', () => {
  it('is replayed by the next process', async () => {
    const user = await User.with(world, 10_000);
    const accounting = connect(user);
    await gate.shut();
    const session = await accounting.session(request);
    await session.finalize({ inputTokens: 10, outputTokens: 40 });
    close(accounting);
    await gate.open();
    connect(user);
    await until('charged', async () => (await user.records()).length === 1);
    expect((await user.onlyRecord()).credits).toBe(50);
  });

  it('has nothing to do for a settlement that was answered before the process ended', async () => {
    const user = await User.with(world, 10_000);
    const accounting = connect(user);
    await (await accounting.session(request)).finalize({ inputTokens: 10, outputTokens: 40 });
    await pause(50);
    close(accounting);
    expect(readFileSync(spool, 'utf8')).toMatch(/"done"/);
    const next = connect(user);
    await next.settled();
    expect(readFileSync(spool, 'utf8')).toBe('');
  });

  it('is read up to a line that a crash has cut short', async () => {
    const user = await User.with(world, 10_000);
    const body = { sessionId: randomUUID(), userId: user.id, inputTokens: 10, outputTokens: 40 };
    const { sessionId, ...used } = body;
    const charge = { ...used, requestId: sessionId, modelId: GPT };
    await writeFile(spool, `${JSON.stringify({ id: sessionId, route: 'finalize', body, charge })}\n`);
    await appendFile(spool, '{"id":"cut sh');
    connect(user);
    await until('charged', async () => (await user.records()).length === 1);
  });

  it('has all that it acknowledged after the disk was full, also when it began', () => {
    const acknowledged: string[] = [];
    // With 4 blocks of a kilobyte the second process has no room for a new file beside the old one.
    for (const blocks of [8, 4]) {
      const limited = `trap '' XFSZ; ulimit -S -f ${blocks}; exec "$@"`;
      const program = fileURLToPath(new URL('programs/full-disk.js', import.meta.url));
      const output = execFileSync('bash', ['-c', limited, 'bash', process.execPath, program, spool]);
      acknowledged.push(...(JSON.parse(output.toString()) as string[]));
    }
    expect(acknowledged.length).toBeGreaterThan(20);
    const next = new Spool(spool);
    expect(next.unfinished().map(({ id }) => id)).toEqual(expect.arrayContaining(acknowledged));
    next.close();
  });

  it('keeps what the service refuses for good beside it, and reports it', async () => {
    const user = await User.with(world, 10_000);
    const errors: Error[] = [];
    const accounting = connect(user, {}, { onError: (error: Error) => errors.push(error) });
    await gate.shut();
    const session = await accounting.session({ ...request, modelId: 'no-such-model' });
    await session.finalize({ inputTokens: 10, outputTokens: 40 });
    await gate.open();
    await until('reported', () => errors.length === 1);
    expect(await readFile(`${spool}.rejected`, 'utf8')).toContain(session.id);
  });

  it('is refused to a second process, and taken over from a dead one', async () => {
    const user = await User.with(world, 10_000);
    const options = { baseUrl: gate.url, internalApiKey: world.internalApiKey, userId: user.id };
    const first = new Program('calls.js', {
      modelId: GPT,
      options: { ...options, failOpen: { maxCredits: 9, spool } },
    });
    await until('begun', () => first.all('settled').length > 0);
    expect(() => connect(user)).toThrow(/uses this spool/);
    await first.end('SIGKILL');
    expect(existsSync(`${spool}.lock`)).toBe(true);
    const accounting = connect(user);
    expect(() => connect(user)).toThrow(/uses this spool/);
    await accounting.settled();
  });

  it('loses nothing and charges nothing twice when its process is killed', { timeout: 60_000 }, async () => {
    const user = await User.with(world, 1_000_000);
    const options = {
      baseUrl: gate.url,
      internalApiKey: world.internalApiKey,
      userId: user.id,
      timeoutSeconds: 1,
    };
    const settings = { modelId: GPT, options: { ...options, failOpen: { maxCredits: 1e6, spool } } };
    const settled = new Map<string, number>();
    const opened = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const program = new Program('calls.js', settings);
      await until('begun', () => program.all('open').length > 0);
      await pause(100 + round * 37);
      await gate.shut();
      await pause(60 + round * 29);
      if (round % 2 === 1) {
        // Killed while it replays.
        await gate.open();
        await pause(500 + round * 40);
        await program.end('SIGKILL');
      } else {
        await program.end('SIGKILL');
        await gate.open();
      }
      for (const id of program.all('open')) opened.add(id);
      for (const line of program.all('settled')) settled.set(line.split(' ')[0]!, Number(line.split(' ')[1]));
      expect(program.all('error')).toEqual([]);
    }
    connect(user, { maxCredits: 1e6 });
    const count = async () => (await recordsById(user)).size;
    let before = -1;
    while (before !== (before = await count())) await pause(700);
    const records = await recordsById(user);
    expect(settled.size).toBeGreaterThan(30);
    for (const [id, credits] of settled) expect(records.get(id)).toEqual([credits]);
    // A call that was open when its process was killed is charged at most once.
    for (const id of opened) expect((records.get(id) ?? []).length).toBeLessThanOrEqual(1);
  });
});

async function recordsById(user: User): Promise<Map<string, number[]>> {
  const byId = new Map<string, number[]>();
  for (const { sessionId, requestId, credits } of await user.allRecords()) {
    const id = (sessionId ?? requestId)!;
    byId.set(id, [...(byId.get(id) ?? []), credits]);
  }
  return byId;
}
