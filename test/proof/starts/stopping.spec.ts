import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitingForLocks } from '../../support/hold-up.js';
import { freshUser, startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService } from '../../support/service-process.js';
import { accessToken, SECRET } from '../../support/tokens.js';

let direct: TestService;
let compiled: CompiledService;
beforeAll(async () => {
  direct = await startService();
  compiled = await compileService();
});
afterAll(async () => {
  await compiled.remove();
  await direct.close();
});

const environment = (more: Record<string, string> = {}) => ({
  DATABASE_URL: direct.databaseUrl,
  JWT_ACCESS_SECRET: SECRET,
  LOG_LEVEL: 'warn',
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

describe('SIGTERM', () => {
  it('lets a request under way finish, and ends the process with success', async () => {
    const service = await compiled.start(environment());
    const lock = await direct.owner.connect();
    await lock.query('BEGIN; LOCK user_accounts IN ACCESS EXCLUSIVE MODE');
    const asked = ask(service.url);
    await expect.poll(() => waitingForLocks(direct)).toBe(1);
    const stopped = service.stop();
    const isListening = () =>
      fetch(`${service.url}/health`, { headers: { connection: 'close' } }).then(
        () => true,
        () => false,
      );
    await expect.poll(isListening).toBe(false);
    await lock.query('ROLLBACK');
    lock.release();
    expect(await asked).toBe(200);
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

it('a start on a port that another process has ends at once and names the port', async () => {
  const service = await compiled.start(environment());
  const { port } = new URL(service.url);
  const { exitCode, output } = await compiled.run(environment({ PORT: port }));
  expect(await service.stop()).toBe(0);
  expect(exitCode).toBe(1);
  expect(output).toContain(`Port ${port} is in use`);
});
