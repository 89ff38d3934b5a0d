import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmbeddedDatabase, migrate } from '../../../src/postgres-server/open-database.js';
import { EventStreamClient } from '../../support/event-stream-client.js';
import { eventsOf, writeEvent } from '../../support/events.js';
import { expectSoundBooks, initialize, ledgerOf, SONNET, userWithCredits } from '../../support/money.js';
import {
  documented,
  findPostgresTools,
  startCluster,
  type TestCluster,
} from '../../support/postgres-tools.js';
import { ownerPool, startOn, type TestService } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';

const NAME = 'accounting';
const PROGRAMS = ['pg_dump', 'pg_restore', 'createuser', 'psql', 'initdb', 'postgres'];
const tools = findPostgresTools(PROGRAMS);
const why = tools ? '' : ` (SKIPPED: this machine has no PostgreSQL with ${PROGRAMS.join(', ')})`;
if (!tools) process.stderr.write(`Backup and restore are not tested${why}\n`);

const CONFIG = {
  poolSize: 2,
  statementTimeoutMilliseconds: 60_000,
  connectTimeoutMilliseconds: 5000,
  url: undefined,
  migrationUrl: undefined,
  embeddedDirectory: '',
};
/** What every role may do with tables, columns and functions, and who owns them; NULL stands for the default. */
const RIGHTS = `
  SELECT 'database' AS what, datdba::regrole::text AS owner, coalesce(datacl, acldefault('d', datdba))::text AS rights FROM pg_database
   WHERE datname = current_database()
  UNION ALL SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace WHERE nspname = 'public'
  UNION ALL SELECT c.relname, relowner::regrole::text, 
         coalesce(relacl, acldefault((CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", relowner))::text FROM pg_class c
   WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT a.attrelid::regclass || '.' || attname, '', attacl::text FROM pg_attribute a WHERE attacl IS NOT NULL
     AND a.attrelid::regclass::text NOT LIKE 'pg_%'
  UNION ALL SELECT p.oid::regprocedure::text, proowner::regrole::text, 
         coalesce(proacl, acldefault('f', proowner))::text FROM pg_proc p
   WHERE pronamespace = 'public'::regnamespace AND prosrc NOT LIKE 'gbt%'
  UNION ALL SELECT tgname, tgenabled::text, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal
  ORDER BY 1, 2, 3`;

describe.skipIf(!tools)(`a backup by pg_dump under load, restored to a fresh server${why}`, () => {
  let source: TestCluster;
  let target: TestCluster;
  let owner: pg.Pool;
  let restored: pg.Pool;
  let service: TestService;
  let after: TestService | undefined;

  beforeAll(async () => {
    const found = tools as NonNullable<typeof tools>;
    [source, target] = await Promise.all([startCluster(found), startCluster(found)]);
    const { url, ownerUrl } = await createEmbeddedDatabase(source, NAME);
    await migrate(CONFIG, ownerUrl, 'accounting_app');
    owner = ownerPool(source, NAME);
    service = await startOn(url, owner);
  });
  afterAll(async () => {
    await after?.close();
    await service?.close();
    await restored?.end();
    await owner?.end();
    await source?.stop();
    await target?.stop();
  });

  /** Sessions and charges without a pause, until stopped. Answers how many calls were made. */
  function load(userIds: string[]): () => Promise<number> {
    let goesOn = true;
    let calls = 0;
    const work = userIds.map(async (userId) => {
      const user = service.as(userId);
      for (let n = 0; goesOn; n++) {
        const sessionId = `${userId}-${n}`;
        const started = await initialize(user, sessionId);
        await user.post('/api/usage/charge', { requestId: sessionId, modelId: SONNET, tokens: 500 });
        // Every third stays open, so that the dump has holds in it.
        if (n % 3 > 0) await user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 900 });
        expect(started.status).toBe(201);
        calls += 3;
      }
    });
    return async () => {
      goesOn = false;
      await Promise.all(work);
      return calls;
    };
  }

  const entries = async (pool: pg.Pool) =>
    Number((await pool.query<{ count: string }>('SELECT count(*) FROM credit_ledger')).rows[0]?.count);

  it('has clean books, the same rights and a service that works; what came later is not in it', async () => {
    const users = await Promise.all([1, 2, 3, 4].map(() => userWithCredits(service, 1_000_000, 500)));
    const stop = load(users.map(({ userId }) => userId));
    await expect.poll(() => entries(owner), { timeout: 20_000 }).toBeGreaterThan(200);
    const before = await entries(owner);
    await source.run(documented('migrations/README.md', 'backup'));
    const atTheEnd = await entries(owner);
    // An event that a client has had, and that the dump has not.
    await writeEvent(service, 'reader');
    const [lost] = await eventsOf(service, service.as('reader'));
    expect(await stop()).toBeGreaterThan(100);
    expect(atTheEnd, 'the load went on while the dump was taken').toBeGreaterThan(before);

    await target.run(documented('migrations/README.md', 'restore'), {}, source.home);
    restored = ownerPool(target, NAME);
    const kept = await entries(restored);
    expect(kept).toBeGreaterThanOrEqual(before);
    expect(kept).toBeLessThanOrEqual(atTheEnd);
    const [then, now] = await Promise.all([owner.query(RIGHTS), restored.query(RIGHTS)]);
    expect(then.rows.length).toBeGreaterThan(60);
    expect(now.rows).toEqual(then.rows);

    await restored.query(`ALTER ROLE accounting_owner LOGIN PASSWORD 'new-1'`);
    await restored.query(`ALTER ROLE accounting_app LOGIN PASSWORD 'new-2'`);
    const url = (login: string) => `postgresql://${login}@127.0.0.1:${target.port}/${NAME}`;
    // As the service does when it starts: nothing is left to migrate, and it changes no right.
    await migrate(CONFIG, url('accounting_owner:new-1'), 'accounting_app');
    expect((await restored.query(RIGHTS)).rows).toEqual(then.rows);
    after = await startOn(url('accounting_app:new-2'), restored);
    expect((await after.anonymous().get('/health/ready')).status).toBe(200);
    await expectSoundBooks(after);

    const reader = after.as('reader');
    const stream = new EventStreamClient(`${after.url}/api/events/stream`, {
      authorization: `Bearer ${accessToken({ sub: 'reader', role: 'user' }, { expiresIn: 3600 })}`,
      'last-event-id': String(lost?.id),
    });
    await stream.opened;
    await writeEvent(after, 'reader');
    const [next] = await eventsOf(after, reader);
    expect(next?.id).toBeGreaterThan(lost?.id as number);
    await expect.poll(() => stream.events.map(({ id }) => Number(id))).toEqual([next?.id]);
    stream.close();

    const user = after.as(users[0]?.userId);
    const old = await ledgerOf(user);
    expect((await initialize(user, 'after-the-restore')).status).toBe(201);
    const body = { sessionId: 'after-the-restore', actualTokens: 700 };
    expect((await user.post('/api/streaming-sessions/finalize', body)).status).toBe(200);
    // Identities go on where they were: new entries come after the old ones.
    expect((await ledgerOf(user))[0]?.id).toBeGreaterThan(old[0]?.id as number);
    await expectSoundBooks(after);
    for (const statement of [
      'UPDATE credit_ledger SET credits = 0',
      'DELETE FROM credit_ledger',
      'TRUNCATE credit_ledger',
    ]) {
      await expect(restored.query(statement)).rejects.toMatchObject({ code: '23001' });
    }
    const runtime = new pg.Client({ connectionString: url('accounting_app:new-2') });
    await runtime.connect();
    await expect(runtime.query('UPDATE credit_balances SET available = 1')).rejects.toMatchObject({
      code: '42501',
    });
    await runtime.end();
  });
});
