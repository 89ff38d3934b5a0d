// @module-tag pooler
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EventPublisher } from '../../src/events/event-publisher.js';
import { EventStreams } from '../../src/events/event-streams.js';
import { EventsService } from '../../src/events/events.service.js';
import type { AccountingEvent } from '../../src/events/event-types.js';
import { startDatabaseProxy } from '../support/database-proxy.js';
import { deliver, makeEndpoint, TARGETS_ON_THIS_MACHINE, writeEvent } from '../support/events.js';
import { EventStreamClient } from '../support/event-stream-client.js';
import { waitingForLocks } from '../support/hold-up.js';
import { countByStatus, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { accessToken } from '../support/tokens.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService({ EVENT_STREAM_SECONDS: '3600', ...TARGETS_ON_THIS_MACHINE });
  second = await service.another();
});
afterAll(async () => {
  await second.close();
  await service.close();
});

const clients: EventStreamClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

interface Options {
  on?: TestService;
  role?: string;
  query?: string;
  after?: number | string;
  reads?: boolean;
  seconds?: number;
}

/** A stream that is open, or refused. */
async function open(userId: string, { on = service, ...options }: Options = {}): Promise<EventStreamClient> {
  const { role = 'user', query = '', after, reads = true, seconds = 3600 } = options;
  const token = accessToken({ sub: userId, role }, { expiresIn: seconds });
  const client = new EventStreamClient(
    `${on.url}/api/events/stream${query}`,
    { authorization: `Bearer ${token}`, ...(after === undefined ? {} : { 'last-event-id': String(after) }) },
    { reads },
  );
  clients.push(client);
  await client.opened;
  // The first words come when the stream's place is known.
  if (client.status === 200 && reads) await expect.poll(() => client.body).toContain('retry:');
  return client;
}
const publish = (on = service) => on.get(EventPublisher).publish();
async function emit(userId: string, ...numbers: number[]): Promise<void> {
  for (const credits of numbers) await writeEvent(service, userId, { credits });
  await publish();
}
const numbersOf = (client: EventStreamClient) => client.events.map(({ data }) => data.data.credits);

describe('the live stream', () => {
  it('sends a user their events, as the webhooks and the pages do', async () => {
    const user = await userWithCredits(service, 150);
    const stream = await open(user.userId);
    expect(stream.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    const root = service.as('root', { role: 'admin' });
    await root.post('/api/credits/deduct', { userId: user.userId, credits: 150, notes: 'x' });
    await publish();
    await expect.poll(() => stream.events.length).toBe(2);
    const page = await user.get<{ items: AccountingEvent[] }>('/api/events');
    expect(stream.events.map(({ data }) => data)).toEqual(page.body.items.reverse());
    for (const { id, event, data } of stream.events)
      expect([id, event]).toEqual([String(data.id), data.type]);
  });

  it('sends users their own only, supervisors and admins everyone’s, or what they ask for', async () => {
    const [alice, bob] = [freshUser('alice'), freshUser('bob')];
    const streams = {
      alice: await open(alice),
      boss: await open('boss', { role: 'supervisor' }),
      root: await open('root', { role: 'admin', on: second }),
      ofBob: await open('boss', { role: 'supervisor', query: `?userId=${bob}` }),
      ofTypes: await open('root', { role: 'admin', query: '?types=credits.low,api_key.created' }),
    };
    await emit(alice, 1);
    await emit(bob, 2);
    await service.as(bob).post('/api/api-keys', { name: 'k' });
    await publish();
    await expect.poll(() => streams.root.events.length).toBe(3);
    await expect.poll(() => streams.boss.events.length).toBe(3);
    await expect.poll(() => streams.ofBob.events.length).toBe(2);
    const users = (client: EventStreamClient) => client.events.map(({ data }) => data.userId);
    expect(users(streams.alice)).toEqual([alice]);
    expect(users(streams.boss)).toEqual([alice, bob, bob]);
    expect(users(streams.ofBob)).toEqual([bob, bob]);
    expect(streams.ofTypes.events.map(({ event }) => event)).toEqual(['api_key.created']);
  });

  it('refuses what a caller may not see, and what it does not understand', async () => {
    const refused = async (options: Options) => (await (await open('alice', options)).problem()).code;
    expect(await refused({ query: '?userId=bob' })).toBe('auth.foreign_user');
    for (const query of ['?types=nonsense', '?types=', '?types=credits.low,credits.low', '?unknown=1'])
      expect(await refused({ query })).toBe('validation.failed');
    for (const after of ['x', '-1', '1'.repeat(16)])
      expect(await refused({ after })).toBe('validation.failed');
    const answer = await service.as('alice').get('/api/events?userId=bob');
    expectProblem(answer, 403, { code: 'auth.foreign_user' });
    expectProblem(await service.internal().get('/api/events'), 403, { code: 'auth.user_token_required' });
  });

  it('goes on after Last-Event-ID, on another instance too, and misses nothing that comes meanwhile', async () => {
    const user = freshUser();
    const first = await open(user);
    await emit(user, 0, 1, 2);
    await expect.poll(() => first.events.length).toBe(3);
    const [last] = first.ids;
    first.close();
    await emit(user, ...Array.from({ length: 40 }, (_, n) => n + 3));
    const resumed: EventStreamClient[] = [];
    const emitting = (async () => {
      for (let n = 43; n < 83; n++) await emit(user, n);
    })();
    for (let n = 0; n < 8; n++)
      resumed.push(await open(user, { on: n % 2 === 0 ? service : second, after: last as number }));
    await emitting;
    const all = Array.from({ length: 82 }, (_, n) => n + 1);
    for (const stream of resumed)
      await expect.poll(() => numbersOf(stream), { timeout: 10_000 }).toEqual(all);
  });

  it('sends each event once and in the order of ids to all that watch, from any instance that publishes', async () => {
    const watchers = await Promise.all(
      [service, second, service].map((on, n) => open(`watcher-${n}`, { on, role: 'admin' })),
    );
    const users = Array.from({ length: 10 }, () => freshUser());
    await Promise.all(
      users.map(async (userId) => {
        for (let n = 0; n < 20; n++) {
          await writeEvent(service, userId, { credits: n });
          await publish(n % 2 === 0 ? service : second);
        }
      }),
    );
    await publish();
    for (const watcher of watchers) {
      await expect.poll(() => watcher.events.length, { timeout: 10_000 }).toBe(200);
      expect(watcher.ids).toEqual([...new Set(watcher.ids)].sort((a, b) => a - b));
      for (const userId of users) {
        const own = watcher.events.filter(({ data }) => data.userId === userId);
        expect(own.map(({ data }) => data.data.credits)).toEqual(Array.from({ length: 20 }, (_, n) => n));
      }
    }
  });

  it('misses no event of a transaction that began before another and is committed after it', async () => {
    const [early, late] = [freshUser('early'), freshUser('late')];
    const stream = await open('root', { role: 'admin' });
    const slow = await service.owner.connect();
    await slow.query('BEGIN');
    await slow.query(`SELECT write_event($1, 'credits.exhausted', $2)`, [
      early,
      { credits: 0, availableCredits: 0, heldCredits: 0 },
    ]);
    await emit(late, 1);
    await expect.poll(() => stream.events.map(({ data }) => data.userId)).toEqual([late]);
    const before = stream.ids[0] as number;
    await slow.query('COMMIT');
    slow.release();
    await publish();
    await expect.poll(() => stream.events.map(({ data }) => data.userId)).toEqual([late, early]);
    const resumed = await open('root', { role: 'admin', after: before });
    await expect.poll(() => resumed.events.map(({ data }) => data.userId)).toEqual([early]);
  });

  it('is published by one instance at a time: another one meanwhile gives no ids and does not wait', async () => {
    const user = service.as(freshUser());
    for (const credits of [1, 2]) await writeEvent(service, user.userId, { credits });
    const slow = await service.owner.connect();
    await slow.query('BEGIN');
    await slow.query('SELECT events_publish(1)');
    const meanwhile = publish(second).catch((error: Error) => error.message);
    const first = await Promise.race([meanwhile, new Promise((late) => setTimeout(late, 3000, 'waits'))]);
    await slow.query('COMMIT');
    slow.release();
    expect(first).toBe(0);
    await publish();
    const page = await user.get<{ items: AccountingEvent[] }>('/api/events');
    expect(page.body.items.map(({ data }) => data.credits)).toEqual([2, 1]);
  });

  it('ends when the token does', async () => {
    const stream = await open(freshUser(), { seconds: 2 });
    expect(stream.isEnded).toBe(false);
    await expect.poll(() => stream.isEnded, { timeout: 5000 }).toBe(true);
  });

  it('ends after EVENT_STREAM_SECONDS, and the client that comes again misses nothing', async () => {
    const brief = await service.another({ EVENT_STREAM_SECONDS: '2' });
    const user = freshUser();
    const startedAt = Date.now();
    const stream = await open(user, { on: brief });
    await emit(user, 1);
    await expect.poll(() => stream.events.length).toBe(1);
    await expect.poll(() => stream.isEnded, { timeout: 5000 }).toBe(true);
    expect(Date.now() - startedAt).toBeGreaterThan(1900);
    await emit(user, 2);
    const again = await open(user, { on: brief, after: stream.ids[0] as number });
    await expect.poll(() => numbersOf(again)).toEqual([2]);
    await brief.close();
  });

  it('is opened by no API key, whatever it may do, and by no key that was revoked', async () => {
    const user = service.as(freshUser());
    const permissions = ['credits:read', 'usage:read', 'usage:write', 'sessions:write', 'pricing:read'];
    const made = await user.post<{ id: number; key: string }>('/api/api-keys', { name: 'k', permissions });
    const refusal = async () => {
      const answer = await service.withHeaders({ 'x-api-key': made.body.key }).get('/api/events/stream');
      return [answer.status, answer.body.code];
    };
    expect(await refusal()).toEqual([403, 'auth.user_token_required']);
    await user.delete(`/api/api-keys/${made.body.id}`);
    expect((await refusal())[0]).toBe(401);
  });

  it('is bounded: so many of one user, so many of all', async () => {
    const small = await service.another({ EVENT_STREAMS_MAX: '12' });
    const user = freshUser();
    for (let n = 0; n < 10; n++) expect((await open(user, { on: small })).status).toBe(200);
    const eleventh = await open(user, { on: small });
    expect([eleventh.status, eleventh.headers['retry-after']]).toEqual([429, '5']);
    expect(await eleventh.problem()).toMatchObject({ code: 'events.too_many_streams' });
    for (let n = 0; n < 2; n++) expect((await open(freshUser(), { on: small })).status).toBe(200);
    const thirteenth = await open(freshUser(), { on: small });
    expect([thirteenth.status, thirteenth.headers['retry-after']]).toEqual([503, '5']);
    expect((await small.anonymous().get('/metrics')).text).toMatch(/^accounting_event_streams 12$/m);
    clients[0]?.close();
    await expect.poll(async () => (await open(user, { on: small })).status).toBe(200);
    await small.close();
  });

  it('cuts a client off that does not read, which then goes on where it was', async () => {
    const user = freshUser();
    const deaf = await open(user, { reads: false });
    await emit(user, 0);
    const text = 'x'.repeat(20_000);
    for (let n = 0; n < 40 && !deaf.isEnded; n++) {
      for (let each = 0; each < 20; each++) await writeEvent(service, user, { text });
      await publish();
    }
    await expect
      .poll(async () => (await service.anonymous().get('/metrics')).text, { timeout: 20_000 })
      .toMatch(/^accounting_event_streams 0$/m);
    const next = await open(user, { after: 0 });
    const { rows } = await service.owner.query<{ id: string }>(
      'SELECT id FROM events WHERE account_id = $1 ORDER BY id',
      [user],
    );
    expect(rows.length).toBeGreaterThan(20);
    await expect.poll(() => next.ids, { timeout: 10_000 }).toEqual(rows.map(({ id }) => Number(id)));
  });

  it('reads for a client no more of the past than it takes, and gives it all when it reads', async () => {
    const user = freshUser();
    const before = (await open(user)).ids.length;
    await service.owner.query(
      `INSERT INTO events (account_id, type, occurred_at, data)
       SELECT $1, 'credits.exhausted', now(),
              jsonb_build_object('credits', n, 'availableCredits', 0, 'heldCredits', 0, 'text', repeat('x', 4000))
         FROM generate_series(1, 6000) n`,
      [user],
    );
    const waiting = async () =>
      Number(
        /^accounting_event_stream_waiting_bytes (\d+)$/m.exec(
          (await service.anonymous().get('/metrics')).text,
        )?.[1],
      );
    const deaf = await open(user, { after: 0, reads: false });
    await expect.poll(waiting, { timeout: 10_000 }).toBeGreaterThan(100_000);
    const quick = await open(user, { after: 0 });
    await expect.poll(() => quick.events.length, { timeout: 20_000, interval: 50 }).toBe(before + 6000);
    // While the quick one had all 24 MB, one batch waited for the other. What the quick one has may count for a moment more.
    await expect.poll(waiting).toBeLessThan(4_000_000);
    expect(deaf.isEnded).toBe(false);
  });

  it('ends at once when the service is stopped, and opens none any more', async () => {
    const stopping = await service.another();
    const stream = await open(freshUser(), { on: stopping });
    const startedAt = Date.now();
    await stopping.get(EventStreams).onModuleDestroy();
    const refused = await open(freshUser(), { on: stopping });
    expect(await refused.problem()).toMatchObject({ status: 503, code: 'events.no_stream_left' });
    await stopping.close();
    await stream.ended;
    expect(Date.now() - startedAt).toBeLessThan(5000);
  });

  it('stays open while the database is down, and sends afterwards what it missed', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const behind = await service.another({ DATABASE_URL: proxy.url, DB_CONNECT_TIMEOUT_MS: '300' });
    const user = freshUser();
    const stream = await open(user, { on: behind });
    await emit(user, 1);
    await expect.poll(() => stream.events.length).toBe(1);
    proxy.cut();
    await emit(user, 2);
    expect((await service.as(user).at(behind.url).get('/api/events')).status).toBe(503);
    const refused = await open(user, { on: behind });
    expect(refused.status).toBe(503);
    proxy.restore();
    await expect.poll(() => numbersOf(stream), { timeout: 10_000 }).toEqual([1, 2]);
    await behind.close();
    await proxy.close();
  });
});

describe('a stream that catches up with a filter', () => {
  const MANY = 25_000;
  /** Events of another type, more between two of the stream's own than one statement looks at. */
  const fill = (userId: string) =>
    service.owner.query(
      `INSERT INTO events (account_id, type, occurred_at, data)
       SELECT $1, CASE WHEN n IN (1000, 24000) THEN 'credits.low' ELSE 'credits.exhausted' END, now(),
              jsonb_build_object('credits', n, 'availableCredits', 0, 'heldCredits', 0, 'threshold', 0)
         FROM generate_series(1, $2::integer) n`,
      [userId, MANY],
    );
  const wanted = [1000, 24_000];

  it.each(['everyone’s', 'one user’s'])(
    'passes what it does not want, looks at each row once and at so many at a time, whatever is written meanwhile: %s',
    async (whose) => {
      const instance = await service.another();
      const user = freshUser();
      const { newest } = await instance.get(EventsService).newest();
      await fill(user);
      const events = instance.get(EventsService);
      const past = events.past.bind(events);
      const asked: number[] = [];
      events.past = async (...values) => {
        asked.push(values[0]);
        // Something is written beside each read.
        await emit(freshUser(), 1);
        return past(...values);
      };
      const query = whose === 'everyone’s' ? '?types=credits.low' : `?types=credits.low&userId=${user}`;
      const stream = await open('root', { role: 'admin', on: instance, query, after: newest });
      await expect.poll(() => numbersOf(stream), { timeout: 20_000 }).toEqual(wanted);
      await expect.poll(() => asked.length).toBeGreaterThan(2);
      expect(asked).toEqual([...new Set(asked)].sort((a, b) => a - b));
      const steps = asked.slice(1).map((id, n) => id - (asked[n] as number));
      expect(Math.max(...steps)).toBeLessThan(10_100);
      expect(asked.length).toBeLessThan(10);
      // It is live: the past is not read again for what comes now.
      const reads = asked.length;
      await service.owner.query(`SELECT write_event($1, 'credits.low', $2)`, [
        user,
        { credits: 7, availableCredits: 7, heldCredits: 0, threshold: 9 },
      ]);
      await publish();
      await expect.poll(() => numbersOf(stream).at(-1), { timeout: 5000 }).toBe(7);
      expect(asked.length).toBe(reads);
      stream.close();
      await instance.close();
    },
  );

  it('gets each event once and in order while it becomes live beside a steady publisher', async () => {
    const user = freshUser();
    const { newest } = await service.get(EventsService).newest();
    await fill(user);
    const live = { credits: 0, availableCredits: 0, heldCredits: 0, threshold: 0 };
    let isOver = false;
    let written = 0;
    const publishing = (async () => {
      while (!isOver) {
        for (const type of ['credits.low', 'credits.exhausted'])
          await service.owner.query('SELECT write_event($1, $2, $3)', [
            user,
            type,
            { ...live, credits: MANY + ++written },
          ]);
        await publish(written % 4 === 0 ? service : second);
      }
    })();
    const streams: EventStreamClient[] = [];
    for (let n = 0; n < 8; n++) {
      const query = n % 4 < 2 ? '?types=credits.low' : `?types=credits.low&userId=${user}`;
      streams.push(
        await open('root', { role: 'admin', on: n % 2 === 0 ? service : second, query, after: newest }),
      );
    }
    await expect
      .poll(() => streams.every(({ events }) => events.length > wanted.length + 5), { timeout: 20_000 })
      .toBe(true);
    isOver = true;
    await publishing;
    const { rows } = await service.owner.query<{ id: string }>(
      `SELECT id FROM events WHERE type = 'credits.low' AND id > $1 ORDER BY id`,
      [newest],
    );
    for (const stream of streams)
      await expect.poll(() => stream.ids, { timeout: 10_000 }).toEqual(rows.map(({ id }) => Number(id)));
  });

  it('ends its reading when the client goes', async () => {
    const instance = await service.another();
    const { newest } = await instance.get(EventsService).newest();
    await fill(freshUser());
    const events = instance.get(EventsService);
    const past = events.past.bind(events);
    let reads = 0;
    let release = () => {};
    const gone = new Promise<void>((done) => (release = done));
    events.past = async (...values) => {
      reads++;
      await gone;
      return past(...values);
    };
    const stream = await open('root', {
      role: 'admin',
      on: instance,
      query: '?types=api_key.created',
      after: newest,
    });
    await expect.poll(() => reads).toBe(1);
    stream.close();
    const metrics = async () => (await instance.anonymous().get('/metrics')).text;
    await expect.poll(metrics).toMatch(/^accounting_event_streams 0$/m);
    release();
    await open('root', { role: 'admin', on: instance });
    expect(reads).toBeLessThan(3);
    await instance.close();
  });
});

describe('a user with many streams that catch up', () => {
  it('has one read at a time, none of those that are closed, and keeps no other user waiting', async () => {
    const instance = await service.another();
    const { newest } = await instance.get(EventsService).newest();
    await emit(freshUser(), 1);
    const [many, other] = [freshUser('many'), freshUser('other')];
    const events = instance.get(EventsService);
    const past = events.past.bind(events);
    const reads: unknown[] = [];
    let release = () => {};
    const released = new Promise<void>((done) => (release = done));
    events.past = async (...values) => {
      reads.push(values[1].accountId);
      await released;
      return past(...values);
    };
    const streams = [];
    for (let index = 0; index < 5; index++) streams.push(await open(many, { on: instance, after: newest }));
    await open(other, { on: instance, after: newest });
    await expect.poll(() => reads).toEqual([many, other]);
    for (const stream of streams) stream.close();
    const metrics = async () => (await instance.anonymous().get('/metrics')).text;
    await expect.poll(metrics).toMatch(/^accounting_event_streams 1$/m);
    release();
    const last = await open(many, { on: instance, after: newest });
    await expect.poll(() => reads.length).toBeGreaterThan(2);
    await emit(many, 7);
    await expect.poll(() => numbersOf(last)).toEqual([7]);
    expect(reads).toEqual([many, other, many]);
    await instance.close();
  });
});

describe('where a stream begins', () => {
  it('a client that hangs up while its caller is being found takes no place', async () => {
    const instance = await service.another();
    const gate = await service.owner.connect();
    await gate.query('BEGIN; LOCK user_accounts IN ACCESS EXCLUSIVE MODE');
    const user = freshUser();
    const opened = open(user, { on: instance });
    await expect.poll(() => waitingForLocks(service)).toBe(1);
    clients.at(-1)?.close();
    await expect(opened).rejects.toThrow('socket hang up');
    const isAborted = () =>
      instance.logs.some((line) => line.path === '/api/events/stream' && line.isAborted);
    await expect.poll(isAborted).toBe(true);
    await gate.query('ROLLBACK');
    gate.release();
    expect((await instance.as(user).get('/api/events')).status).toBe(200);
    expect((await instance.anonymous().get('/metrics')).text).toMatch(/^accounting_event_streams 0$/m);
    await instance.close();
  });

  it('401: a token that only the tolerance of clocks keeps opens none, and leaves nothing behind', async () => {
    const instance = await service.another();
    const stream = await open('late', { on: instance, seconds: -2 });
    expect(await stream.problem()).toMatchObject({ status: 401, code: 'auth.token_expired' });
    expect((await instance.anonymous().get('/metrics')).text).toMatch(/^accounting_event_streams 0$/m);
    await instance.close();
  });

  it('409: no event has had the id yet', async () => {
    await emit(freshUser(), 1);
    const { given } = await service.get(EventsService).newest();
    for (const after of [given + 1, 999_999_999_999_999]) {
      const refused = await open('root', { role: 'admin', after });
      expect(await refused.problem()).toMatchObject({ status: 409, code: 'events.position_unknown' });
    }
    expect((await open('root', { role: 'admin', after: given })).status).toBe(200);
  });

  it('after an event that was forgotten since, also when it was the last', async () => {
    const other = await startService({ EVENT_STREAM_SECONDS: '3600' });
    const user = freshUser();
    for (const credits of [1, 2]) await writeEvent(other, user, { credits });
    await publish(other);
    const { given } = await other.get(EventsService).newest();
    await other.owner.query('DELETE FROM events');
    const [first, last] = [
      await open(user, { on: other, after: given - 1 }),
      await open(user, { on: other, after: given }),
    ];
    await writeEvent(other, user, { credits: 3 });
    await publish(other);
    for (const stream of [first, last])
      await expect.poll(() => numbersOf(stream), { timeout: 5000 }).toEqual([3]);
    await other.close();
  });
});

it('an open stream ends when the database has lost events of it, and its client gets 409', async () => {
  const other = await startService({ EVENT_STREAM_SECONDS: '3600' });
  const user = freshUser();
  const stream = await open(user, { on: other });
  for (const credits of [1, 2, 3]) await writeEvent(other, user, { credits });
  await publish(other);
  await expect.poll(() => stream.ids.length).toBe(3);
  const [first, , last] = stream.ids;
  // As after a failover to a server that has not had the last two.
  await other.owner.query('DELETE FROM events WHERE id > $1', [first]);
  await other.owner.query(`SELECT setval('events_id_seq', $1)`, [first]);
  await writeEvent(other, user, { credits: 4 });
  await publish(other);
  await expect.poll(() => stream.isEnded, { timeout: 10_000 }).toBe(true);
  expect(stream.ids).toHaveLength(3);
  const refused = await open(user, { on: other, after: last as number });
  expect(await refused.problem()).toMatchObject({ status: 409, code: 'events.position_unknown' });
  await other.close();
});

describe('a role that changes while a stream is open', () => {
  /** A newer token of the user is seen, on another instance. */
  const seen = (userId: string, role: string) => second.as(userId, { role }).get('/api/events?limit=1');

  it('ends what the new role may not see within a moment, and leaves the rest open', async () => {
    const user = freshUser('boss');
    const everyones = await open(user, { role: 'admin' });
    const anothers = await open(user, { role: 'admin', query: '?userId=bob' });
    const own = await open(user, { role: 'admin', query: `?userId=${user}` });
    const other = await open(freshUser('boss'), { role: 'supervisor' });
    await seen(user, 'supervisor');
    await new Promise((passed) => setTimeout(passed, 3000));
    expect([everyones, anothers, own, other].map(({ isEnded }) => isEnded)).toEqual(Array(4).fill(false));
    await seen(user, 'user');
    await expect.poll(() => everyones.isEnded && anothers.isEnded, { timeout: 10_000 }).toBe(true);
    expect([own.isEnded, other.isEnded]).toEqual([false, false]);
  });

  it('ends a stream that an older token with the lost role has opened since', async () => {
    const user = freshUser('boss');
    await open(user, { role: 'admin' });
    await seen(user, 'user');
    const again = await open(user, { role: 'admin' });
    await expect.poll(() => again.isEnded, { timeout: 10_000 }).toBe(true);
  });
});

describe('the service with its sweepers on', () => {
  it('publishes, delivers and sends within a moment, by notification', async () => {
    const receiver = await new WebhookReceiver().start();
    const running = await service.another({ SWEEP_INTERVAL_SECONDS: '3600' });
    await makeEndpoint(running, receiver);
    const user = freshUser();
    const stream = await open(user, { on: running });
    // The connection that listens is there.
    await expect
      .poll(async () => {
        await writeEvent(service, user);
        return receiver.of(user).length;
      })
      .toBeGreaterThan(0);
    const before = receiver.of(user).length;
    const startedAt = Date.now();
    await writeEvent(service, user, { credits: 77 });
    await expect
      .poll(() => receiver.of(user).some(({ event }) => event.data.credits === 77), { interval: 5 })
      .toBe(true);
    await expect.poll(() => numbersOf(stream).includes(77), { interval: 5 }).toBe(true);
    expect(Date.now() - startedAt).toBeLessThan(1500);
    expect(receiver.of(user).length).toBeGreaterThan(before);
    await running.close();
    await receiver.stop();
  });

  it('does so without notifications as well, a little later', async () => {
    const receiver = await new WebhookReceiver().start();
    const running = await service.another({ SWEEP_INTERVAL_SECONDS: '1' });
    await makeEndpoint(running, receiver);
    const user = freshUser();
    const stream = await open(user, { on: running });
    const listening = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'llm-accounting-service-events'`;
    await service.owner.query(listening);
    await service.owner.query(
      `INSERT INTO event_outbox (account_id, type, occurred_at, data)
       VALUES ($1, 'credits.exhausted', now(), '{"credits": 0, "availableCredits": 0, "heldCredits": 0}')`,
      [user],
    );
    await expect.poll(() => receiver.of(user).length, { timeout: 8000 }).toBe(1);
    await expect.poll(() => stream.events.length, { timeout: 8000 }).toBe(1);
    await running.close();
    await receiver.stop();
  });
});

describe('pages of events', () => {
  it('go back from the newest, by type and user', async () => {
    const user = service.as(freshUser());
    await emit(user.userId, 0, 1, 2, 3, 4);
    await deliver(service);
    const first = await user.get<{ items: AccountingEvent[]; nextCursor: string }>('/api/events?limit=3');
    expect(first.body.items.map(({ data }) => data.credits)).toEqual([4, 3, 2]);
    const next = await user.get<{ items: AccountingEvent[]; nextCursor: string | null }>(
      `/api/events?limit=3&cursor=${first.body.nextCursor}`,
    );
    expect(next.body.items.map(({ data }) => data.credits)).toEqual([1, 0]);
    expect(next.body.nextCursor).toBeNull();
    const boss = service.as('boss', { role: 'supervisor' });
    const ofUser = await boss.get<{ items: AccountingEvent[] }>(
      `/api/events?userId=${user.userId}&types=credits.exhausted`,
    );
    expect(ofUser.body.items).toHaveLength(5);
    const none = await boss.get(`/api/events?userId=${user.userId}&types=credits.low`);
    expect(none.body.items).toEqual([]);
  });

  it.each(['everyone’s', 'one user’s'])(
    'look through so many events at most, as a report, and go on after them: %s',
    async (whose) => {
      const instance = await service.another();
      const userId = freshUser();
      await service.owner.query(
        `INSERT INTO events (account_id, type, occurred_at, data)
         SELECT $1, CASE WHEN n IN (1, 2) THEN 'credits.low' ELSE 'credits.exhausted' END, now(),
                jsonb_build_object('credits', n, 'availableCredits', 0, 'heldCredits', 0, 'threshold', 1)
           FROM generate_series(1, 10003) n`,
        [userId],
      );
      const client = whose === 'everyone’s' ? instance.as('root', { role: 'admin' }) : instance.as(userId);
      const ask = async (query: string) => {
        const answer = await client.get<{ items: AccountingEvent[]; nextCursor: string | null }>(
          `/api/events?types=credits.low&${query}`,
        );
        expect(answer.status).toBe(200);
        return { numbers: answer.body.items.map(({ data }) => data.credits), next: answer.body.nextCursor };
      };
      // The newest 10,000 are of the other type.
      const first = await ask('limit=1');
      expect(first).toEqual({ numbers: [], next: expect.any(String) as string });
      const second = await ask(`limit=1&cursor=${first.next}`);
      expect(second.numbers).toEqual([2]);
      expect((await ask(`limit=1&cursor=${second.next}`)).numbers).toEqual([1]);
      await instance.close();
    },
  );

  it('wait for a turn of the reports, and take no connection of the movements', async () => {
    const user = await userWithCredits(service, 100);
    const gate = await service.owner.connect();
    await gate.query('BEGIN; LOCK events IN ACCESS EXCLUSIVE MODE');
    const pages = Array.from({ length: 30 }, () => user.get('/api/events?types=credits.low'));
    await expect.poll(() => waitingForLocks(service)).toBeGreaterThan(0);
    expect((await user.get('/api/credits/balance')).status).toBe(200);
    const waiting = await waitingForLocks(service);
    await gate.query('ROLLBACK');
    gate.release();
    // Of the thirty one; the publisher may wait beside it.
    expect(waiting).toBeLessThan(5);
    expect(countByStatus(await Promise.all(pages))).toEqual({ 200: 30 });
  });
});
