import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { superuserPassword } from '../../../src/postgres-server/postgres-directory.js';
import { portOf } from '../../../src/postgres-server/postgres-ownership.js';
import { makeEndpoint, TARGETS_ON_THIS_MACHINE, writeEvent } from '../../support/events.js';
import { waitingForLocks } from '../../support/hold-up.js';
import { freshUser, startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService, type ServiceProcess } from '../../support/service-process.js';
import { accessToken, SECRET } from '../../support/tokens.js';
import { WebhookReceiver } from '../../support/webhook-receiver.js';

let direct: TestService;
let compiled: CompiledService;
beforeAll(async () => {
  direct = await startService(TARGETS_ON_THIS_MACHINE);
  compiled = await compileService();
});
afterAll(async () => {
  await compiled.remove();
  await direct.close();
});

const environment = (more: Record<string, string> = {}) => ({
  DATABASE_URL: direct.databaseUrl,
  JWT_ACCESS_SECRET: SECRET,
  LOG_LEVEL: 'info',
  ...more,
});

/** Asks for the balance of a user who was never seen, which writes the account. */
const ask = (url: string) =>
  fetch(`${url}/api/credits/balance`, {
    headers: { authorization: `Bearer ${accessToken({ sub: freshUser() })}` },
  }).then(
    ({ status }) => status,
    () => 'cut off',
  );

const isListening = ({ url }: ServiceProcess) =>
  fetch(`${url}/health`, { headers: { connection: 'close' } }).then(
    () => true,
    () => false,
  );

describe('SIGTERM', () => {
  it('lets a request under way finish, and ends the process with success', async () => {
    const service = await compiled.start(environment());
    const lock = await direct.owner.connect();
    await lock.query('BEGIN; LOCK user_accounts IN ACCESS EXCLUSIVE MODE');
    const asked = ask(service.url);
    await expect.poll(() => waitingForLocks(direct)).toBe(1);
    const stopped = service.stop();
    await expect.poll(() => isListening(service), { timeout: 5000 }).toBe(false);
    await lock.query('ROLLBACK');
    lock.release();
    expect(await asked).toBe(200);
    expect(await stopped).toBe(0);
  });

  it('answers what comes on an open connection meanwhile, and says there that it ends', async () => {
    const service = await compiled.start(environment());
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const health = () =>
      new Promise<string | undefined>((answered, failed) => {
        get(`${service.url}/health`, { agent }, (response) => {
          response.resume().once('end', () => answered(response.headers.connection));
        }).once('error', failed);
      });
    expect(await health()).toBe('keep-alive');
    const stopped = service.stop();
    await expect.poll(() => service.output(), { interval: 5 }).toContain('stopping');
    expect(await health()).toBe('close');
    expect(await stopped).toBe(0);
    agent.destroy();
  });

  it('takes no connections while a receiver of webhooks does not answer', async () => {
    const receiver = await new WebhookReceiver().start();
    receiver.reply = () => ({ status: 0, isSilent: true });
    const service = await compiled.start(
      environment({
        ...TARGETS_ON_THIS_MACHINE,
        WEBHOOK_TIMEOUT_MS: '15000',
        SWEEP_INTERVAL_SECONDS: '1',
      }),
    );
    await makeEndpoint(direct, receiver);
    await writeEvent(direct, freshUser());
    await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBeGreaterThan(0);
    const stopped = service.stop();
    await expect.poll(() => isListening(service), { timeout: 5000 }).toBe(false);
    await receiver.stop();
    expect(await stopped).toBe(0);
  });

  it('ends it in time, also while the database holds up a statement', async () => {
    const service = await compiled.start(environment({ SHUTDOWN_SECONDS: '1' }));
    const lock = await direct.owner.connect();
    await lock.query('BEGIN; LOCK user_accounts IN ACCESS EXCLUSIVE MODE');
    const asked = ask(service.url);
    await expect.poll(() => waitingForLocks(direct)).toBe(1);
    expect(await service.stop()).toBe(1);
    expect(service.output()).toContain('could not stop in time');
    expect(await asked).toBe('cut off');
    await lock.query('ROLLBACK');
    lock.release();
  });
});

describe('a log whose reader stalls', () => {
  /** A process that logs 50 MB at once, and then does nothing until SIGTERM. */
  async function flood(): Promise<ChildProcessWithoutNullStreams> {
    const logging = pathToFileURL(join(compiled.directory, 'src/common/http/logging.js')).href;
    const program = `import { createLogger } from '${logging}';
      const logger = createLogger('info');
      process.stdout.write('ready\\n');
      for (let line = 0; line < 50_000; line++) logger.info({ line, text: 'x'.repeat(1000) });
      process.once('SIGTERM', () => process.exit(0));
      setInterval(() => undefined, 1000);
      process.stderr.write(String(process.memoryUsage().rss));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      cwd: compiled.directory,
    });
    const [bytes] = (await once(child.stderr.setEncoding('utf8'), 'data')) as [string];
    expect(Number(bytes)).toBeLessThan(200_000_000);
    return child;
  }

  it('keeps no process from its end', async () => {
    const child = await flood();
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    child.stdout.resume();
  });

  it('leaves lines out, and says afterwards how many', async () => {
    const child = await flood();
    let read = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (read += text));
    await expect.poll(() => read.includes('log lines were left out'), { timeout: 20_000 }).toBe(true);
    child.kill('SIGTERM');
    await once(child, 'close');
    const lines = read.trim().split('\n').slice(1);
    const [said] = lines.filter((line) => line.includes('left out'));
    const { lines: leftOut } = JSON.parse(said as string) as { lines: number };
    expect(leftOut).toBe(50_000 - (lines.length - 1));
  });
});

it('SIGTERM stops the embedded server in time, too, while it holds up a statement', async () => {
  const dataDir = join(compiled.directory, 'pg');
  const service = await compiled.start({
    EMBEDDED_POSTGRES_DIR: dataDir,
    JWT_ACCESS_SECRET: SECRET,
    SHUTDOWN_SECONDS: '1',
  });
  const server = Number.parseInt(await readFile(join(dataDir, 'postmaster.pid'), 'utf8'), 10);
  const owner = new pg.Client({
    host: '127.0.0.1',
    port: await portOf(dataDir),
    user: 'postgres',
    password: await superuserPassword(dataDir),
    database: 'accounting',
  });
  // The server ends its connections.
  owner.on('error', () => undefined);
  await owner.connect();
  await owner.query('BEGIN; LOCK user_accounts IN ACCESS EXCLUSIVE MODE');
  const asked = ask(service.url);
  const waiting = `SELECT FROM pg_locks WHERE NOT granted`;
  await expect.poll(async () => (await owner.query(waiting)).rowCount).toBe(1);
  expect(await service.stop()).toBe(1);
  expect(service.output()).toContain('could not stop in time');
  expect(await asked).toBe('cut off');
  expect(() => process.kill(server, 0)).toThrow('ESRCH');
});

it('a start on a port that another process has ends at once and names the port', async () => {
  const service = await compiled.start(environment());
  const { port } = new URL(service.url);
  const { exitCode, output } = await compiled.run(environment({ PORT: port }));
  expect(await service.stop()).toBe(0);
  expect(exitCode).toBe(1);
  expect(output).toContain(`Port ${port} is in use`);
});
