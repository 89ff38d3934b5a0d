import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectionPool } from '../../src/common/database/driver.js';
import { openDatabase } from '../../src/postgres-server/open-database.js';
import { EventSignals } from '../../src/events/event-signals.js';
import { startSilentDatabase } from '../support/silent-database.js';

let silent: Awaited<ReturnType<typeof startSilentDatabase>>;
beforeEach(async () => {
  silent = await startSilentDatabase();
});
afterEach(() => silent.close());

it('a start on a database that takes the login and then is silent ends and names the setting', async () => {
  const config = {
    url: silent.url,
    migrationUrl: undefined,
    poolSize: 1,
    statementTimeoutMilliseconds: 1000,
    connectTimeoutMilliseconds: 200,
    embeddedDirectory: '',
  };
  await expect(openDatabase(config)).rejects.toThrow(/Check DATABASE_URL/);
});

it('the listener for events leaves a connection that does not answer LISTEN', async () => {
  const limits = { poolSize: 1, statementTimeoutMilliseconds: 1000, connectTimeoutMilliseconds: 200 };
  const signals = new EventSignals(connectionPool({ ...limits, url: silent.url }));
  signals.on('published', () => undefined);
  await expect.poll(silent.connections, { timeout: 30_000 }).toBeGreaterThan(1);
  await signals.onModuleDestroy();
});
