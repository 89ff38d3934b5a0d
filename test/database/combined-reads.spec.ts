import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CombinedReads } from '../../src/common/database/combined-reads.js';
import { Database } from '../../src/common/database/database.js';
import { ServiceUnavailable } from '../../src/common/errors/service-error.js';
import { type DatabaseProxy, startDatabaseProxy } from '../support/database-proxy.js';
import { startService, type TestService } from '../support/service.js';

const GATE = 20_261_121;
/** MAXIMUM_TOGETHER and MAXIMUM_WAITING of src/common/database/combined-reads.ts. */
const MOST_TOGETHER = 64;
const MOST_WAITING = 10_000;
/** Waits at the gate when it is asked for the gate; fails at 0; knows nothing of the missing. */
const READ = {
  name: 'read_of_a_test',
  text: `SELECT k AS key, CASE k WHEN 'gate' THEN pg_advisory_xact_lock(${GATE})::text WHEN '0' THEN (1 / k::integer)::text
                               ELSE coalesce((SELECT max(notes) FROM credit_ledger WHERE account_id = k), k) END AS found
           FROM unnest($1::text[]) k WHERE k <> 'missing'`,
};
const PATIENCE = { isCombining: true, patienceMilliseconds: 60_000 };
type Row = { key: string; found: string };

let direct: TestService;
let service: TestService;
let proxy: DatabaseProxy;
let database: Database;
beforeAll(async () => {
  direct = await startService();
});
beforeEach(async () => {
  proxy = await startDatabaseProxy(direct.databaseUrl);
  service = await direct.another({ DATABASE_URL: proxy.url, COMBINE_MOVEMENTS: 'on' });
  database = service.get(Database);
});
afterEach(async () => {
  await service.close();
  await proxy.close();
});
afterAll(() => direct.close());

/** Asks while one read of them is held up in the database; it goes on when all have been asked. */
async function behindTheGate<T>(reads: CombinedReads<Row>, ask: () => T | Promise<T>): Promise<T> {
  const gate = await direct.owner.connect();
  await gate.query('SELECT pg_advisory_lock($1)', [GATE]);
  proxy.taken();
  const held = reads.of('gate');
  try {
    await expect.poll(() => proxy.taken(), { interval: 1 }).toHaveLength(1);
    return await ask();
  } finally {
    await gate.query('SELECT pg_advisory_unlock($1)', [GATE]);
    gate.release();
    await held;
  }
}

const all = (reads: CombinedReads<Row>, keys: string[]) =>
  Promise.allSettled(keys.map((key) => reads.of(key)));

describe('reads of one kind', () => {
  it('go at once when none is under way, and together when one is; each gets its own row', async () => {
    const reads = database.reads<Row>(READ);
    const keys = Array.from({ length: MOST_TOGETHER + 6 }, (_, index) => `key-${index % 60}`).concat(
      'missing',
    );
    const answers = await behindTheGate(reads, () => ({ all: all(reads, keys) }));
    expect(await answers.all).toEqual(
      keys.map((key) => ({
        status: 'fulfilled',
        value: key === 'missing' ? undefined : { key, found: key },
      })),
    );
    expect(proxy.taken()).toEqual([READ.name, READ.name]);
  });

  it('harm no other when one of them fails', async () => {
    const reads = database.reads<Row>(READ);
    const answers = await behindTheGate(reads, () => ({ all: all(reads, ['1', '0', '2']) }));
    expect(await answers.all).toMatchObject([
      { status: 'fulfilled', value: { found: '1' } },
      { status: 'rejected', reason: { code: '22012' } },
      { status: 'fulfilled', value: { found: '2' } },
    ]);
  });

  it('see what was committed before they were asked for, though one like them is under way', async () => {
    const reads = database.reads<Row>(READ);
    const boss = direct.as('boss', { role: 'supervisor' });
    const user = direct.as();
    await user.get('/api/streaming-sessions/active');
    const [before, after] = await behindTheGate(reads, async () => {
      const first = reads.of(user.userId);
      const given = { userId: user.userId, credits: 5, notes: 'just given' };
      expect((await boss.post('/api/credits/allocate', given)).status).toBe(201);
      return [first, reads.of(user.userId)];
    });
    expect((await after)?.found).toBe('just given');
    expect((await before)?.found).toBeDefined();
  });

  it('wait no longer than they may', async () => {
    const reads = new CombinedReads<Row>((keys) => database.rows<Row>(READ, [keys]), {
      ...PATIENCE,
      patienceMilliseconds: 200,
    });
    await behindTheGate(reads, async () => {
      // The read at the gate keeps its lane for a quarter of a second.
      const late = await all(reads, ['late']);
      expect(late).toMatchObject([{ status: 'rejected', reason: expect.any(ServiceUnavailable) as unknown }]);
      expect((await reads.of('new'))?.found).toBe('new');
    });
  });

  it('are refused at once when too many wait', async () => {
    const reads = new CombinedReads<Row>((keys) => database.rows<Row>(READ, [keys]), PATIENCE);
    const waiting = await behindTheGate(reads, async () => {
      const some = all(
        reads,
        Array.from({ length: MOST_WAITING }, () => 'waits'),
      );
      await expect(reads.of('one more')).rejects.toBeInstanceOf(ServiceUnavailable);
      return { some };
    });
    expect(new Set((await waiting.some).map(({ status }) => status))).toEqual(new Set(['fulfilled']));
  });

  it('go each by itself when combining is off', async () => {
    const apart = new CombinedReads<Row>((keys) => database.rows<Row>(READ, [keys]), {
      ...PATIENCE,
      isCombining: false,
    });
    const keys = ['a', 'b', 'a', 'missing'];
    await behindTheGate(apart, () => all(apart, keys));
    expect(proxy.taken()).toEqual(keys.map(() => READ.name));
  });
});

describe('a busy service', () => {
  it('answers each caller with its own balance, check and key', async () => {
    const boss = service.as('boss', { role: 'supervisor' });
    const users = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const user = service.as();
        await user.get('/api/streaming-sessions/active');
        await boss.post('/api/credits/allocate', { userId: user.userId, credits: index + 1 });
        const { body } = await user.post('/api/api-keys', { name: 'own', permissions: ['credits:read'] });
        return { user, key: body.key as string, credits: index + 1 };
      }),
    );
    proxy.taken();
    const rounds = 5;
    await Promise.all(
      users.flatMap(({ user, key, credits }) =>
        Array.from({ length: rounds }, async () => {
          const [balance, check, verified, byKey] = await Promise.all([
            user.get('/api/credits/balance'),
            user.post('/api/credits/check', { requiredCredits: credits }),
            boss.post('/api/api-keys/verify', { key }),
            service.withHeaders({ 'x-api-key': key }).get('/api/credits/balance'),
          ]);
          expect(balance.body).toMatchObject({ userId: user.userId, totalCredits: credits });
          expect(check.body).toMatchObject({ hasSufficientCredits: true, availableCredits: credits });
          expect(verified.body).toMatchObject({ userId: user.userId, availableCredits: credits });
          expect(byKey.body).toMatchObject({ userId: user.userId, totalCredits: credits });
        }),
      ),
    );
    // Five reads each, with the look-up of the key.
    expect(proxy.taken().length).toBeLessThan((users.length * rounds * 5) / 2);
  });
});
