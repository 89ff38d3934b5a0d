import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EventPublisher } from '../../../src/events/event-publisher.js';
import { WebhookDeliverer } from '../../../src/events/webhook-deliverer.js';
import { Database } from '../../../src/common/database/database.js';
import { type DatabaseProxy, type Fault, startDatabaseProxy } from '../../support/database-proxy.js';
import { type DatabaseTls, startDatabaseTls } from '../../support/database-tls.js';
import type { Answer, HttpClient } from '../../support/http-client.js';
import {
  balanceOf,
  expectSoundBooks,
  initialize,
  SONNET,
  times,
  userWithCredits,
} from '../../support/money.js';
import { makeEndpoint, TARGETS_ON_THIS_MACHINE, writeEvent } from '../../support/events.js';
import { expectProblem } from '../../support/problems.js';
import { startService, type TestService } from '../../support/service.js';

/** Statements under way at once, each on a connection of its own; combined ones have four lanes. */
const CONNECTIONS = 16;
const LANES = 4;
const TOGETHER = 8;
const STATEMENT_TIMEOUT_MILLISECONDS = 500;

/** What happens to an answer `where` in it, from 0, its beginning, to 1, its end. */
const FAULTS: Record<string, (where: number) => Fault> = {
  'cut off': (where) => (answer) => ({ pieces: [answer.subarray(0, at(answer, where))], isCut: true }),
  'in two pieces': (where) => (answer) => ({
    pieces: [answer.subarray(0, at(answer, where)), answer.subarray(at(answer, where))],
  }),
  'without a few bytes': (where) => (answer) => ({
    pieces: [Buffer.concat([answer.subarray(0, at(answer, where)), answer.subarray(at(answer, where) + 3)])],
  }),
  'with a part twice': (where) => (answer) => ({
    pieces: [Buffer.concat([answer.subarray(0, at(answer, where) + 1), answer])],
  }),
  'with its end twice': (where) => (answer) => ({
    pieces: [Buffer.concat([answer, answer.subarray(at(answer, where))])],
  }),
  'with a zero byte in it': (where) => (answer) => ({ pieces: [changed(answer, where, () => 0)] }),
  'with an inverted byte in it': (where) => (answer) => ({
    pieces: [changed(answer, where, (byte) => byte ^ 255)],
  }),
};

/** Opens a connection, where all others are in use. */
const SLEEP = { name: 'sleep', text: 'SELECT pg_sleep(0.01)::text' };

const at = (answer: Buffer, where: number) => Math.min(Math.floor(where * answer.length), answer.length - 1);

function changed(answer: Buffer, where: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(answer);
  copy[at(answer, where)] = change(copy[at(answer, where)] as number);
  return copy;
}

let direct: TestService;
let boss: HttpClient;
beforeAll(async () => {
  direct = await startService();
});
afterAll(() => direct.close());

interface Movement {
  /** What it needs to be there. */
  prepare?: (user: HttpClient, id: string) => Promise<Answer>;
  send: (user: HttpClient, id: string) => Promise<Answer>;
  /** Whether the same request again is answered like the first. */
  isIdempotent: boolean;
}

const key = (id: string) => ({ 'idempotency-key': id });
const deduct = (user: HttpClient, id: string, headers = {}) =>
  boss.post('/api/credits/deduct', { userId: user.userId, credits: 3, notes: id }, headers);
const charge = (user: HttpClient, id: string, headers = {}) =>
  user.post('/api/usage/charge', { requestId: id, modelId: SONNET, tokens: 1000 }, headers);
const record = (user: HttpClient, id: string, headers = {}) =>
  user.post('/api/usage/record', { service: 'record', operation: id, credits: 1 }, headers);
const allocate = (user: HttpClient, id: string, headers = {}) =>
  boss.post('/api/credits/allocate', { userId: user.userId, credits: 7, notes: id }, headers);
const open = (user: HttpClient, id: string) => initialize(direct.as(user.userId), id);
const SESSIONS = '/api/streaming-sessions';

/** Those that may go together come first. */
const MOVEMENTS: Record<string, Movement> = {
  hold: { send: initialize, isIdempotent: true },
  progress: {
    prepare: open,
    send: (user, id) => user.post(`${SESSIONS}/progress`, { sessionId: id, tokensGenerated: 500 }),
    isIdempotent: true,
  },
  settle: {
    prepare: open,
    send: (user, id) => user.post(`${SESSIONS}/finalize`, { sessionId: id, actualTokens: 700 }),
    isIdempotent: true,
  },
  deduct: { send: deduct, isIdempotent: false },
  deductWithKey: { send: (user, id) => deduct(user, id, key(id)), isIdempotent: true },
  charge: { send: charge, isIdempotent: true },
  chargeWithKey: { send: (user, id) => charge(user, id, key(id)), isIdempotent: true },
  record: { send: record, isIdempotent: false },
  recordWithKey: { send: (user, id) => record(user, id, key(id)), isIdempotent: true },
  allocate: { send: allocate, isIdempotent: false },
  allocateWithKey: { send: (user, id) => allocate(user, id, key(id)), isIdempotent: true },
};
const KINDS = Object.keys(MOVEMENTS);
const COMBINED_KINDS = KINDS.filter((kind) => !kind.startsWith('allocate'));

/** How often each request was carried out. */
const EFFECTS = `
  SELECT id, count(*)::integer AS count FROM (
    SELECT session_id AS id FROM streaming_sessions WHERE session_id LIKE 'hold %'
    UNION ALL SELECT session_id FROM streaming_sessions WHERE session_id LIKE 'progress %' AND tokens_generated > 0
    UNION ALL SELECT session_id FROM usage_records WHERE session_id IS NOT NULL
    UNION ALL SELECT request_id FROM usage_records WHERE request_id IS NOT NULL
    UNION ALL SELECT operation FROM usage_records WHERE service = 'record'
    UNION ALL SELECT notes FROM credit_ledger WHERE kind = 'deduction'
    UNION ALL SELECT notes FROM credit_allocations WHERE notes IS NOT NULL
  ) effects WHERE id = ANY($1) GROUP BY id`;

interface Sent {
  kind: string;
  user: HttpClient;
  id: string;
}

describe.each([
  { line: 'without TLS', hasTls: false, combines: false },
  { line: 'without TLS, combined', hasTls: false, combines: true },
  { line: 'with TLS', hasTls: true, combines: false },
  { line: 'with TLS, combined', hasTls: true, combines: true },
])('movements on a line $line, whose answers arrive', ({ hasTls, combines }) => {
  let tls: DatabaseTls;
  let proxy: DatabaseProxy;
  let service: TestService;
  let users: HttpClient[];
  beforeAll(async () => {
    tls = await startDatabaseTls(direct.databaseUrl);
    proxy = await startDatabaseProxy(hasTls ? tls.url : direct.databaseUrl);
    service = await direct.another({
      DATABASE_URL: proxy.url,
      DB_POOL_SIZE: String(CONNECTIONS),
      DB_STATEMENT_TIMEOUT_MS: String(STATEMENT_TIMEOUT_MILLISECONDS),
      COMBINE_MOVEMENTS: combines ? 'on' : 'off',
      ...TARGETS_ON_THIS_MACHINE,
    });
    boss = service.as('boss', { role: 'admin' });
    users = (await times(CONNECTIONS, () => userWithCredits(direct, 1_000_000))).map(({ userId }) =>
      service.as(userId),
    );
    await Promise.all([boss, ...users].map(balanceOf));
  });
  afterEach(() => expectSoundBooks(direct));
  afterAll(async () => {
    await service.close();
    await proxy.close();
    await tls.close();
  });

  async function prepared(kind: string, user: HttpClient): Promise<Sent> {
    const id = `${kind} ${randomUUID()}`;
    const answer = await MOVEMENTS[kind]?.prepare?.(user, id);
    if (answer !== undefined) expect(answer.status).toBe(201);
    return { kind, user, id };
  }

  const send = ({ kind, user, id }: Sent) => (MOVEMENTS[kind] as Movement).send(user, id);

  /** Sends requests at once while the answers to their statements are spoilt. @returns those answered well */
  async function spoil(faults: (Fault | undefined)[], requests: Sent[]): Promise<number> {
    // So many connections are open, and what is spoilt is no handshake.
    await times(CONNECTIONS, () => service.get(Database).rows(SLEEP, [], 'movements'));
    const unused = proxy.spoil(faults);
    const answers = await Promise.all(requests.map(send));
    expect(unused()).toBe(0);
    const effects = await effectsOf(requests);
    for (const [index, { id }] of requests.entries()) {
      const answer = answers[index] as Answer;
      expect(effects.get(id) ?? 0, id).toBeLessThanOrEqual(1);
      if (answer.status < 300) expect(effects.get(id), id).toBe(1);
      else expectProblem(answer, 503, { code: 'service.unavailable' });
    }
    const repeatable = requests.filter(({ kind }) => MOVEMENTS[kind]?.isIdempotent);
    for (const { status } of await Promise.all(repeatable.map(send))) expect([200, 201]).toContain(status);
    const repeated = await effectsOf(repeatable);
    for (const { id } of repeatable) expect(repeated.get(id), id).toBe(1);
    return answers.filter(({ status }) => status < 300).length;
  }

  async function effectsOf(requests: Sent[]): Promise<Map<string, number>> {
    const { rows } = await direct.owner.query<{ id: string; count: number }>(EFFECTS, [
      requests.map(({ id }) => id),
    ]);
    return new Map(rows.map(({ id, count }) => [id, count]));
  }

  it.each(Object.entries(FAULTS))(
    '%s, are carried out once at most, or answered 503',
    async (name, fault) => {
      // What waits for missing bytes waits for the whole time limit.
      const rounds = name === 'without a few bytes' ? 1 : 4;
      const statements = combines ? LANES : CONNECTIONS;
      const kinds = combines ? COMBINED_KINDS : KINDS;
      let answered = 0;
      for (let round = 0; round < rounds; round++) {
        const faults = Array.from({ length: statements }, (_, n) => fault((n + round / rounds) / statements));
        const requests = await times(combines ? LANES * (TOGETHER + 1) : CONNECTIONS, (n) =>
          prepared(kinds[(n * rounds + round) % kinds.length] as string, users[n % statements] as HttpClient),
        );
        proxy.taken();
        // The first of each user goes by itself, and the others wait for it.
        const heads = combines ? faults.map(() => undefined) : [];
        answered += await spoil([...heads, ...faults], requests);
        if (combines && !hasTls) expect(proxy.taken()).toContain('movements');
      }
      if (combines) return;
      // With TLS, what comes behind an answer comes too late to spoil it.
      const isWhole = name === 'in two pieces' || (hasTls && name === 'with its end twice');
      if (isWhole) expect(answered).toBeGreaterThan((rounds * CONNECTIONS) / 2);
      else expect(answered).toBeLessThan((rounds * CONNECTIONS) / 2);
    },
  );

  it('twice, are never taken for the answer to the next request', async () => {
    const twice: Fault = (answer) => ({ pieces: [answer, answer] });
    let answered = 0;
    for (const user of users) {
      const requests = await times(2, () => prepared('hold', user));
      await service.get(Database).rows(SLEEP, [], 'movements');
      const unused = proxy.spoil([twice]);
      for (const request of requests) {
        const { status, body } = await send(request);
        if (status === 201) answered++;
        else expect(status).toBe(503);
        if (status === 201) expect(body).toMatchObject({ sessionId: request.id });
      }
      expect(unused()).toBe(0);
    }
    expect(answered).toBeGreaterThanOrEqual(users.length);
  });

  it('with an outcome that no operation has, are 503', async () => {
    const renamed: Fault = (answer) => ({
      pieces: [Buffer.from(answer.toString('latin1').replace('"created"', '"creaked"'), 'latin1')],
    });
    if (hasTls) return;
    const [user] = users as [HttpClient];
    const request = await prepared('hold', user);
    await service.get(Database).rows(SLEEP, [], 'movements');
    const unused = proxy.spoil([renamed]);
    expectProblem(await send(request), 503, { code: 'service.unavailable' });
    expect(unused()).toBe(0);
    expect((await send(request)).status).toBe(200);
  });

  it('with another name of their column, end no process', async () => {
    const renamed: Fault = (answer) => ({
      pieces: [Buffer.from(answer.toString('latin1').replace('lane\0', 'lame\0'), 'latin1')],
    });
    if (hasTls) return;
    const endpoint = await makeEndpoint(service, { url: 'http://127.0.0.1:18999/hook' });
    await writeEvent(direct, 'a-user');
    await direct.get(EventPublisher).publish();
    const rejections: unknown[] = [];
    const note = (error: unknown) => rejections.push(error);
    process.on('unhandledRejection', note);
    proxy.spoil(Array<Fault>(50).fill(renamed));
    await service.get(WebhookDeliverer).deliver();
    process.off('unhandledRejection', note);
    expect(rejections).toEqual([]);
    expect((await boss.delete(`/api/webhooks/${endpoint.id}`)).status).toBe(204);
  });
});
