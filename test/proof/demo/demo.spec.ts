import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { launchDemo } from '../../support/demo-process.js';
import { HttpClient } from '../../support/http-client.js';
import { type CompiledService, compileService } from '../../support/service-process.js';
import { MODELS } from '../../../src/demo/models.js';

let service: CompiledService;
/** Where the demo keeps what it removes at its end. */
let temporary: string;
beforeAll(async () => {
  service = await compileService();
  temporary = await mkdtemp(join(tmpdir(), 'accounting-demo-test-'));
});
afterAll(async () => {
  await service.remove();
  await rm(temporary, { recursive: true, force: true });
});

const launch = (...args: string[]) => launchDemo(service.directory, temporary, ...args);

/** The process of the demo's database server. */
async function postgresPid(): Promise<number> {
  const [directory = ''] = await readdir(temporary);
  const lines = (await readFile(join(temporary, directory, 'postgres/postmaster.pid'), 'utf8')).split('\n');
  return Number(lines[0]);
}

async function expectNothingLeft(pid: number): Promise<void> {
  expect(await readdir(temporary)).toEqual([]);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
}

interface Stats {
  totalRecords: number;
  byService: Record<string, number>;
  byModel: Record<string, number>;
  byDay: Record<string, number>;
  needsReview: number;
  unpricedRecords: number;
  marginUsd: string | null;
}
interface Account {
  userId: string;
  totalCredits: number;
}
interface Forecast {
  availableCredits: number;
  expiringUnusedCredits: number;
  runsOutAt: string | null;
}

describe('npm run demo', () => {
  let demo: ReturnType<typeof launch>;
  let url: string;
  let clients: Record<'admin' | 'supervisor' | 'user', HttpClient>;
  beforeAll(async () => {
    demo = launch('--users', '60', '--port', '0', '--seed', '3');
    await demo.hasSaid('Ctrl-C ends it');
    url = /API +(http:\S+)\/api\n/.exec(demo.said())?.[1] ?? '';
    const client = (role: string) => {
      const [, token = ''] = new RegExp(`${role}, .+\\n(\\S+)\\n`).exec(demo.said()) ?? [];
      return new HttpClient(url, { authorization: `Bearer ${token}` }, role);
    };
    clients = { admin: client('admin'), supervisor: client('supervisor'), user: client('user') };
  });
  afterAll(() => {
    demo.child.kill('SIGKILL');
  });

  const get = async <Body>(path: string, as: keyof typeof clients = 'admin') => {
    const answer = await clients[as].get<Body>(path);
    expect(answer.status, answer.text).toBe(200);
    return answer.body;
  };
  const forecastOf = (userId: string) => get<Forecast>(`/api/credits/forecast/${userId}`);

  it('has clean books', async () => {
    expect(await get('/api/credits/audit')).toEqual({
      ok: true,
      usersChecked: 63,
      differencesFound: 0,
      differences: [],
    });
  });

  it('has a month of use in every form, with margins, reviews and a model without a price', async () => {
    const stats = await get<Stats>('/api/usage/system-stats');
    expect(stats.totalRecords).toBeGreaterThan(1000);
    expect(Object.keys(stats.byDay).length).toBeGreaterThan(28);
    const chatModels = MODELS.filter(({ isEmbedding }) => isEmbedding !== true).map(({ id }) => id);
    expect(Object.keys(stats.byModel)).toEqual(expect.arrayContaining(chatModels));
    expect(Object.keys(stats.byService)).toEqual(
      expect.arrayContaining([
        ...[
          'chat',
          'chat-streaming',
          'chat-streaming-failed',
          'chat-streaming-aborted',
          'chat-streaming-timeout',
        ],
        ...['embeddings', 'images'],
      ]),
    );
    expect(stats.needsReview).toBeGreaterThan(0);
    expect(stats.unpricedRecords).toBeGreaterThan(0);
    expect(Number(stats.marginUsd)).toBeGreaterThan(0);
  });

  it('lets the functions know the real time again', async () => {
    const given = { userId: 'mia.tanaka', credits: 10, expiryDays: 1 };
    const answer = await clients.supervisor.post<{ allocatedAt: string }>('/api/credits/allocate', given);
    expect(Math.abs(Date.parse(answer.body.allocatedAt) - Date.now())).toBeLessThan(60_000);
    expect(
      (await clients.user.post('/api/usage/record', { service: 's', operation: 'o', credits: 1 })).status,
    ).toBe(201);
  });

  it('has the people that it names, each in the state that it names', async () => {
    expect(demo.said()).toContain('Nora Quist (out of credits)');
    expect((await forecastOf('nora.quist')).availableCredits).toBeLessThan(100);
    expect((await forecastOf('omar.haddad')).expiringUnusedCredits).toBeGreaterThan(1000);
    expect((await forecastOf('leo.brandt')).availableCredits).toBe(0);
    expect((await forecastOf('mia.tanaka')).availableCredits).toBeGreaterThan(500);
    const reviews = await get<{ items: { userId: string; metadata: { reason?: string } }[] }>(
      '/api/usage/needs-review?limit=200',
    );
    expect(reviews.items.some(({ userId }) => userId === 'ivy.chan')).toBe(true);
    expect(reviews.items.some(({ metadata }) => metadata.reason)).toBe(true);
    const found = await get<{ items: Account[] }>('/api/accounts?search=Mia%20T', 'supervisor');
    expect(found.items).toMatchObject([{ userId: 'mia.tanaka' }]);
  });

  it('has three organisations, each in the trouble that it names', async () => {
    expect(demo.said()).toContain('Northwind (near its monthly budget');
    interface Budget {
      scope: string;
      unit: string;
      limit: number;
      used: number;
      left: number;
    }
    const budgetsOf = async (id: string) =>
      (await get<{ items: Budget[] }>(`/api/budgets?accountId=${id}`)).items;
    const share = ({ used, limit }: Budget) => used / limit;
    const find = (budgets: Budget[], scope: string, unit = 'credits') =>
      budgets.find((budget) => budget.scope === scope && budget.unit === unit) as Budget;
    const creditsOf = async (id: string) => (await forecastOf(id)).availableCredits;
    const typesOf = async (id: string) =>
      (
        await get<{ items: { type: string; userId: string }[] }>(`/api/events?limit=200&types=${EVENTS}`)
      ).items
        .filter(({ userId }) => userId === id)
        .map(({ type }) => type);
    const EVENTS = 'budget.threshold,budget.exhausted,credits.low,limit.reached';
    const northwind = await budgetsOf('org:northwind');
    expect(share(find(northwind, 'account'))).toBeGreaterThan(0.85);
    expect(share(find(northwind, 'account'))).toBeLessThan(1);
    expect(find(northwind, 'unit').left).toBe(0);
    expect(await creditsOf('org:northwind')).toBeGreaterThan(1000);
    const brightline = await budgetsOf('org:brightline');
    expect(share(find(brightline, 'account'))).toBeLessThan(0.5);
    expect(await creditsOf('org:brightline')).toBeLessThan(100);
    expect(await creditsOf('org:brightline')).toBeGreaterThan(0);
    expect(find(await budgetsOf('org:fennel-labs'), 'account', 'sessions').limit).toBe(2);
    // Its Support has been refused calls, too.
    expect(await typesOf('org:northwind')).toEqual(
      expect.arrayContaining(['budget.threshold', 'budget.exhausted', 'limit.reached']),
    );
    expect(await typesOf('org:brightline')).toContain('credits.low');
    await vi.waitFor(async () => expect(await typesOf('org:fennel-labs')).toContain('limit.reached'), {
      timeout: 20_000,
      interval: 500,
    });
  });

  it('lets a newcomer sign in as one of its people, who keep their names', async () => {
    const { people } = (await (await fetch(`${url}/console/config.json`)).json()) as {
      people: { sub: string; username: string; role: string }[];
    };
    expect(people.map(({ role }) => role)).toEqual(['admin', 'supervisor', 'user', 'user']);
    for (const { sub, username, role } of people) {
      const answer = await fetch(`${url}/api/dev/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ sub, role }),
      });
      const { token } = (await answer.json()) as { token: string };
      const own = new HttpClient(url, { authorization: `Bearer ${token}` }, sub);
      expect((await own.get('/api/credits/balance')).status).toBe(200);
      expect(await get(`/api/accounts/${sub}`)).toMatchObject({ username, role });
    }
  });

  it('has a user who is refused, and goes on as soon as there are credits', async () => {
    const nora = async () =>
      (await get<{ userId: string }[]>('/api/streaming-sessions/active/all')).filter(
        ({ userId }) => userId === 'nora.quist',
      );
    await vi.waitFor(async () => {
      expect((await forecastOf('nora.quist')).availableCredits).toBe(0);
      // Others run out too.
      const { items } = await get<{ items: { userId: string }[] }>(
        '/api/events?types=credits.exhausted&limit=20',
      );
      expect(items.map(({ userId }) => userId)).toContain('nora.quist');
    });
    expect(await nora()).toEqual([]);
    await clients.admin.post('/api/credits/allocate', { userId: 'nora.quist', credits: 400, expiryDays: 1 });
    await vi.waitFor(async () => expect(await nora()).toHaveLength(1), { timeout: 20_000, interval: 250 });
  });

  it('announces what expires as it came about, and not all of it at the start', async () => {
    const { items } = await get<{ items: { occurredAt: string }[] }>(
      '/api/events?types=credits.expiring&limit=100',
    );
    expect(items.length).toBeGreaterThan(5);
    const days = new Set(items.map(({ occurredAt }) => occurredAt.slice(0, 10)));
    expect(days.size).toBeGreaterThan(3);
  });

  it('has a model that loses, and models that earn', async () => {
    const { marginByModel } = await get<{ marginByModel: Record<string, { marginUsd: string | null }> }>(
      '/api/usage/system-stats',
    );
    expect(Number(marginByModel['gemini-2.5-flash']?.marginUsd)).toBeLessThan(0);
    expect(Number(marginByModel['gpt-4o']?.marginUsd)).toBeGreaterThan(0);
  });

  it('has every kind of ledger entry', async () => {
    const kinds = new Set<string>();
    for (const { userId } of (await get<{ items: Account[] }>('/api/accounts?limit=200')).items) {
      const page = await get<{ items: { kind: string }[] }>(`/api/credits/ledger/${userId}?limit=200`);
      for (const { kind } of page.items) kinds.add(kind);
    }
    expect([...kinds]).toEqual(
      expect.arrayContaining(['allocation', 'hold', 'refund', 'charge', 'expiry', 'deduction']),
    );
  });

  it('has a gateway whose calls are charged, wait for a review, or wait in quarantine', async () => {
    const { items } = await get<{ items: { claimedUser: string; reason: string }[] }>(
      '/api/integrations/litellm/quarantine',
    );
    expect(items.map(({ claimedUser, reason }) => `${claimedUser}: ${reason}`).sort()).toEqual([
      'mia.tanaka: not_understood',
      ...['yuki.mori: unknown_user', 'yuki.mori: unknown_user', 'yuki.mori: unknown_user'],
    ]);
    const calls = await get<{ items: { userId: string; requestId: string; billingStatus: string }[] }>(
      '/api/usage/records/all?service=chat&limit=200',
    );
    const charged = calls.items.filter(({ requestId }) => requestId?.startsWith('litellm:chatcmpl-demo-'));
    expect(charged.map(({ userId, billingStatus }) => `${userId}: ${billingStatus}`)).toEqual([
      'mia.tanaka: billed',
      'ivy.chan: needs_review',
    ]);
  });

  it('has a program that takes the webhooks it is sent, and one that is down', async () => {
    await vi.waitFor(async () => {
      const { items } = await get<{
        items: { url: string; failingSince: string | null; lastStatus: number; waitingDeliveries: number }[];
      }>('/api/webhooks');
      expect(items.map(({ url }) => new URL(url).pathname)).toEqual(['/tickets', '/reminders']);
      const [tickets, reminders] = items;
      expect(tickets).toMatchObject({ failingSince: expect.any(String) as string, lastStatus: 503 });
      expect(tickets?.waitingDeliveries).toBeGreaterThan(0);
      expect(reminders).toMatchObject({ failingSince: null, lastStatus: 204 });
    });
    const { items } = await get<{ items: { eventType: string; userId: string; status: string }[] }>(
      '/api/webhooks/1/deliveries?status=delivered&limit=100',
    );
    // She was given credits above; whether she ran out after the endpoint was made depends on the time of day.
    expect(items.map(({ eventType, userId }) => `${eventType} ${userId}`)).toContain(
      'credits.recovered nora.quist',
    );
  });

  it('goes on: sessions are live, one has lost its client, and new records come', async () => {
    const before = (await get<Stats>('/api/usage/system-stats')).totalRecords;
    await vi.waitFor(
      async () => {
        const sessions = await get<{ expiresAt: string }[]>('/api/streaming-sessions/active/all');
        const silentFor = sessions.map(({ expiresAt }) => 120_000 - (Date.parse(expiresAt) - Date.now()));
        expect(silentFor.filter((milliseconds) => milliseconds < 5000).length).toBeGreaterThan(0);
        expect(Math.max(...silentFor)).toBeGreaterThan(8000);
        expect((await get<Stats>('/api/usage/system-stats')).totalRecords).toBeGreaterThan(before);
      },
      { timeout: 40_000, interval: 250 },
    );
    expect(await get('/api/credits/audit')).toMatchObject({ ok: true });
  });

  it('at Ctrl-C ends well and leaves nothing behind', async () => {
    const pid = await postgresPid();
    demo.child.kill('SIGINT');
    expect(await demo.ended, demo.said()).toBe(0);
    await expectNothingLeft(pid);
  });
});

describe('npm run demo, broken off', () => {
  it('while the month is being played leaves nothing behind', async () => {
    const demo = launch('--users', '1000', '--port', '0');
    await demo.hasSaid('Playing a month');
    const pid = await postgresPid();
    demo.child.kill('SIGTERM');
    expect(await demo.ended, demo.said()).toBe(0);
    expect(demo.said()).not.toContain('Ctrl-C ends it');
    await expectNothingLeft(pid);
  });

  it('by a port that is in use says so before anything is begun', async () => {
    const taken = createServer();
    await new Promise<void>((done) => taken.listen(0, done));
    const { port } = taken.address() as { port: number };
    const demo = launch('--users', '10', '--port', String(port));
    expect(await demo.ended).toBe(1);
    // Named by PORT, as that of the service is.
    const env = { PORT: String(port), TMPDIR: temporary };
    const named = await service.run(env, 'src/cli/demo.js', '--users', '10', '--no-open');
    expect(named).toMatchObject({ exitCode: 1, output: expect.stringContaining(`Port ${port} is in use`) });
    expect(demo.said()).toContain(`Port ${port} is in use`);
    expect(demo.said()).not.toContain('Starting');
    expect(await readdir(temporary)).toEqual([]);
    await new Promise((done) => taken.close(done));
  });

  it.each([
    ['--users', '9'],
    ['--port', 'x'],
    ['--seed', '0'],
  ])('by %s %s says what is wrong and starts nothing', async (name, value) => {
    const demo = launch(name, value);
    expect(await demo.ended).toBe(1);
    expect(demo.said()).toMatch(
      new RegExp(`^${name} must be a whole number from \\d+ to \\d+, not "${value}"\\n$`),
    );
  });
});
