import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeEndpoint, TARGETS_ON_THIS_MACHINE } from '../../support/events.js';
import { HttpClient } from '../../support/http-client.js';
import { expectSoundBooks, SONNET } from '../../support/money.js';
import { freshUser, startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService, type ServiceProcess } from '../../support/service-process.js';
import { accessToken, SECRET } from '../../support/tokens.js';
import { WebhookReceiver } from '../../support/webhook-receiver.js';

const USERS = 12;
const SPENDS = 10;

let direct: TestService;
let compiled: CompiledService;
let receiver: WebhookReceiver;
const running: ServiceProcess[] = [];
beforeAll(async () => {
  direct = await startService(TARGETS_ON_THIS_MACHINE);
  compiled = await compileService();
  receiver = await new WebhookReceiver().start();
});
afterAll(async () => {
  for (const process of running) await process.stop();
  await compiled.remove();
  await receiver.stop();
  await expectSoundBooks(direct);
  await direct.close();
});

async function start(more: Record<string, string> = {}): Promise<ServiceProcess> {
  const process = await compiled.start({
    DATABASE_URL: direct.databaseUrl,
    JWT_ACCESS_SECRET: SECRET,
    SWEEP_INTERVAL_SECONDS: '1',
    // A lease is half a minute longer.
    WEBHOOK_TIMEOUT_MS: '1000',
    LOG_LEVEL: 'warn',
    RATE_LIMIT_MAX: '1000000',
    ...TARGETS_ON_THIS_MACHINE,
    ...more,
  });
  running.push(process);
  return process;
}

async function kill(process: ServiceProcess): Promise<void> {
  globalThis.process.kill(process.pid, 'SIGKILL');
  running.splice(running.indexOf(process), 1);
  await expect
    .poll(() =>
      fetch(`${process.url}/health`).then(
        () => true,
        () => false,
      ),
    )
    .toBe(false);
}

describe('two processes of which one is killed again and again, and a receiver that fails at times', () => {
  it('lose no event of a movement that was answered, and repeat only under the same webhook-id, in order', async () => {
    await makeEndpoint(direct, receiver, { eventTypes: ['credits.exhausted'] });
    let answered = 0;
    receiver.reply = async () => {
      await new Promise((later) => setTimeout(later, 20));
      return { status: answered++ % 5 === 4 ? 500 : 200 };
    };
    let victim = await start();
    const other = await start();
    const users = Array.from({ length: USERS }, () => freshUser('crash'));
    const boss = direct.as('boss', { role: 'supervisor' });
    for (const user of users) await direct.as(user).get('/api/credits/balance');
    let spent = 0;
    const spend = async (userId: string, n: number) => {
      const given = await boss.post('/api/credits/allocate', { userId, credits: 3 });
      expect(given.status).toBe(201);
      for (;;) {
        const headers = { authorization: `Bearer ${accessToken({ sub: userId })}`, connection: 'close' };
        // The charge goes to the one that is killed as well: it is repeated under its id until it is answered.
        const url = n % 2 === 0 ? victim.url : other.url;
        const body = { requestId: `spend-${n}`, modelId: SONNET, tokens: 1000 };
        const answer = await new HttpClient(url, headers, userId)
          .post('/api/usage/charge', body)
          .catch(() => undefined);
        if (answer !== undefined && answer.status < 300) return void spent++;
        await new Promise((again) => setTimeout(again, 50));
      }
    };
    let isSpending = true;
    const spending = Promise.all(
      users.map(async (user) => {
        for (let n = 0; n < SPENDS; n++) await spend(user, n);
      }),
    ).finally(() => (isSpending = false));
    let kills = 0;
    while (isSpending || kills < 3) {
      const gone = victim;
      await kill(gone);
      kills++;
      victim = await start();
      // In the middle of the next ones.
      const before = spent;
      await expect
        .poll(() => !isSpending || spent >= before + USERS, { timeout: 30_000, interval: 20 })
        .toBe(true);
    }
    await spending;
    // Leases of those that were killed, and the pauses after failures: as if they were over.
    const hasAll = async () => {
      await direct.owner.query(
        `UPDATE webhook_lanes SET next_attempt_at = now(), lease = NULL
          WHERE next_attempt_at > now() + interval '3 seconds'`,
      );
      return users.every((user) => new Set(receiver.of(user).map(({ event }) => event.id)).size === SPENDS);
    };
    await expect.poll(hasAll, { timeout: 50_000, interval: 500 }).toBe(true);
    // One that was killed behind a delivery, before it noted it, has left a lease as well.
    const lanesLeft = async () => {
      await hasAll();
      return (await direct.owner.query('SELECT 1 FROM webhook_lanes')).rowCount;
    };
    await expect.poll(lanesLeft, { timeout: 20_000, interval: 500 }).toBe(0);
    for (const user of users) {
      const received = receiver.of(user);
      const firsts = [...new Set(received.map(({ event }) => event.id))];
      expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
      const contents = new Map<unknown, Set<string>>();
      for (const { headers, text } of received) {
        const id = headers['webhook-id'];
        contents.set(id, (contents.get(id) ?? new Set()).add(text));
      }
      expect([...contents.values()].every(({ size }) => size === 1)).toBe(true);
    }
    expect(receiver.received.length).toBeGreaterThan(USERS * SPENDS);
  }, 180_000);
});

describe('a process that is killed', () => {
  const exhaust = async (user: string, url: string) => {
    const boss = direct.as('boss', { role: 'supervisor' });
    await direct.as(user).get('/api/credits/balance');
    await boss.post('/api/credits/allocate', { userId: user, credits: 3 });
    const body = { requestId: `last-of-${user}`, modelId: SONNET, tokens: 1000 };
    expect((await direct.as(user).at(url).post('/api/usage/charge', body)).status).toBe(201);
  };
  const deliveriesOf = async (user: string) =>
    (await direct.owner.query(`SELECT FROM webhook_deliveries WHERE account_id = $1`, [user])).rowCount;

  it('between a movement and its delivery takes nothing with it: another publishes and delivers it once', async () => {
    for (const process of running.splice(0)) await process.stop();
    const last = await start({ SWEEP_INTERVAL_SECONDS: '0' });
    const user = freshUser('killed');
    receiver.reply = () => ({ status: 200 });
    await exhaust(user, last.url);
    expect(await deliveriesOf(user)).toBe(0);
    await kill(last);
    await start();
    await expect.poll(() => receiver.of(user).length, { timeout: 10_000 }).toBe(1);
    expect(receiver.of(user)[0]?.event.type).toBe('credits.exhausted');
  });

  it('amid a delivery has it made again under the same webhook-id when its lease has ended, and not before', async () => {
    for (const process of running.splice(0)) await process.stop();
    const victim = await start({ WEBHOOK_TIMEOUT_MS: '30000' });
    const user = freshUser('amid');
    receiver.reply = () => ({ status: 0, isSilent: true });
    await exhaust(user, victim.url);
    await expect.poll(() => receiver.of(user).length, { timeout: 10_000 }).toBe(1);
    await kill(victim);
    receiver.reply = () => ({ status: 200 });
    await start();
    const other = freshUser('other');
    await exhaust(other, direct.url);
    await expect.poll(() => receiver.of(other).length, { timeout: 10_000 }).toBe(1);
    // The one that lives delivers, and leaves alone what the dead one has in hand: 30 s and half a minute more.
    const { rows } = await direct.owner.query<{ seconds: number }>(
      `SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 AS seconds FROM webhook_lanes
        WHERE account_id = $1`,
      [user],
    );
    expect(rows[0]?.seconds).toBeGreaterThan(20);
    expect(rows[0]?.seconds).toBeLessThan(60);
    expect(receiver.of(user)).toHaveLength(1);
    await direct.owner.query(
      `UPDATE webhook_lanes SET next_attempt_at = next_attempt_at - interval '61 seconds' WHERE account_id = $1`,
      [user],
    );
    await expect.poll(() => receiver.of(user).length, { timeout: 10_000 }).toBe(2);
    const ids = receiver.of(user).map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(1);
    await expect.poll(async () => (await direct.owner.query('SELECT FROM webhook_lanes')).rowCount).toBe(0);
  });
});
