import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitingForLocks } from '../../support/hold-up.js';
import { type Answer, HttpClient } from '../../support/http-client.js';
import { countByStatus, expectSoundBooks, initialize, times, userWithCredits } from '../../support/money.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService, type ServiceProcess } from '../../support/service-process.js';
import { accessToken, SECRET } from '../../support/tokens.js';

const WORKERS = 2;
/** For each caller; so that a test can reach it, and no other does. */
const LIMIT = 400;

let direct: TestService;
let compiled: CompiledService;
let service: ServiceProcess;
beforeAll(async () => {
  direct = await startService();
  compiled = await compileService();
  service = await startWorkers();
});
afterAll(async () => {
  await service.stop();
  await compiled.remove();
  await direct.close();
});

const startWorkers = (env = {}) =>
  compiled.start({
    DATABASE_URL: direct.databaseUrl,
    WEB_CONCURRENCY: String(WORKERS),
    JWT_ACCESS_SECRET: SECRET,
    INTERNAL_API_KEY: INTERNAL_KEY,
    RATE_LIMIT_MAX: String(LIMIT),
    RATE_LIMIT_WINDOW_SECONDS: '3600',
    LOG_LEVEL: 'warn',
    ...env,
  });

/** Each request on a connection of its own: the workers get them in turn. */
const as = (userId = freshUser(), role = 'user') =>
  new HttpClient(
    service.url,
    { authorization: `Bearer ${accessToken({ sub: userId, role })}`, connection: 'close' },
    userId,
  );

const workersOf = ({ pid }: ServiceProcess): number[] =>
  execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(Number);

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('several workers behind one port', () => {
  it('sell credit for exactly 50 sessions to 300 parallel initializes', async () => {
    const { userId } = await userWithCredits(direct, 200);
    const user = as(userId);
    const answers = await times(300, (n) => initialize(user, `s${n}`));
    expect(countByStatus(answers)).toEqual({ 201: 50, 402: 250 });
    await expectSoundBooks(direct);
  });

  it('answer with metrics of all together, and with the database’s once', async () => {
    const { userId } = await userWithCredits(direct, 100);
    const user = as(userId);
    await initialize(user, 'open');
    const count = async () => {
      const { text } = await as().get('/metrics');
      const sent =
        /^http_request_duration_seconds_count\{method="GET",route="\/api\/credits\/balance",status="200"\} (\d+)$/m;
      return { sent: Number(sent.exec(text)?.[1] ?? 0), text };
    };
    const before = (await count()).sent;
    await times(20, () => user.get('/api/credits/balance'));
    const { sent, text } = await count();
    expect(sent - before).toBe(20);
    const active = await direct.owner.query(
      `SELECT count(*)::int AS count FROM streaming_sessions WHERE status = 'active'`,
    );
    expect(text).toMatch(new RegExp(`^accounting_sessions_active ${active.rows[0].count}$`, 'm'));
    expect(text).toMatch(/^accounting_database_pool_limit\{pool="movements"\} 40$/m);
  });

  it('share the rate limit, but for what comes within a tenth of a second', async () => {
    const user = as();
    const answers: Answer[] = [];
    const send = async () => answers.push(...(await times(10, () => user.get('/api/credits/balance'))));
    await expect
      .poll(
        async () => {
          await send();
          return answers.some(({ status }) => status === 429);
        },
        { timeout: 30_000, interval: 50 },
      )
      .toBe(true);
    const { 200: accepted = 0 } = countByStatus(answers);
    expect(accepted).toBeGreaterThanOrEqual(LIMIT - 1);
    expect(accepted).toBeLessThan(LIMIT * 1.4);
    // By now every worker knows.
    await expect
      .poll(async () => countByStatus(await times(10, () => user.get('/api/credits/balance'))), {
        interval: 100,
      })
      .toEqual({ 429: 10 });
  });

  it('all refuse a key that has been revoked', async () => {
    const user = as();
    const made = await user.post<{ id: number; key: string }>('/api/api-keys', {
      name: 'k',
      permissions: ['credits:read'],
    });
    const program = new HttpClient(
      service.url,
      { 'x-api-key': made.body.key, connection: 'close' },
      user.userId,
    );
    const use = () => times(8, () => program.get('/api/credits/balance'));
    expect(countByStatus(await use())).toEqual({ 200: 8 });
    expect((await user.delete(`/api/api-keys/${made.body.id}`)).status).toBe(204);
    expect(countByStatus(await use())).toEqual({ 401: 8 });
  });

  it('replace one that is killed, and the others go on serving', async () => {
    const [victim, other] = workersOf(service) as [number, number];
    process.kill(victim, 'SIGKILL');
    await expect.poll(() => isAlive(victim)).toBe(false);
    await expect
      .poll(() => workersOf(service).filter((pid) => pid !== other).length, { timeout: 20_000 })
      .toBe(1);
    await expect
      .poll(async () => countByStatus(await times(4, () => as().get('/api/credits/balance'))), {
        timeout: 20_000,
      })
      .toEqual({ 200: 4 });
    expect(service.output()).toContain('a worker has ended');
  });
});

describe('the end of the process above the workers', () => {
  it('by SIGTERM ends them all, with success', async () => {
    const another = await startWorkers();
    const pids = workersOf(another);
    expect(pids).toHaveLength(WORKERS);
    expect(await another.stop()).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it('by SIGTERM comes in time, also of a worker that does nothing any more', async () => {
    const another = await startWorkers({ SHUTDOWN_SECONDS: '1' });
    const pids = workersOf(another);
    process.kill(pids[0] as number, 'SIGSTOP');
    expect(await another.stop()).toBe(1);
    expect(another.output()).toContain('could not stop in time');
    await expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([]);
  });

  it('by SIGTERM comes in time, also while the database holds up a statement', async () => {
    const another = await startWorkers({ WEB_CONCURRENCY: '1', SHUTDOWN_SECONDS: '1' });
    const lock = await direct.owner.connect();
    await lock.query('BEGIN; LOCK user_accounts IN ACCESS EXCLUSIVE MODE');
    const headers = { authorization: `Bearer ${accessToken({ sub: freshUser() })}` };
    const asked = fetch(`${another.url}/api/credits/balance`, { headers }).catch(() => 'cut off');
    await expect.poll(() => waitingForLocks(direct)).toBe(1);
    expect(await another.stop()).toBe(1);
    expect(await asked).toBe('cut off');
    await lock.query('ROLLBACK');
    lock.release();
  });

  it('by SIGKILL leaves none behind', async () => {
    const another = await startWorkers();
    const pids = workersOf(another);
    process.kill(another.pid, 'SIGKILL');
    await expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([]);
  });

  it('is the end of a start in which no worker can listen', async () => {
    const { exitCode, output } = await compiled.run({
      DATABASE_URL: direct.databaseUrl,
      WEB_CONCURRENCY: '2',
      JWT_ACCESS_SECRET: SECRET,
      PORT: new URL(service.url).port,
    });
    expect(exitCode).toBe(1);
    expect(output).toMatch(/Port \d+ is in use/);
  });
});
