import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countByStatus } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';
import { accessToken } from '../support/tokens.js';

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService();
  second = await service.another();
});
afterAll(async () => {
  await second.close();
  await service.close();
});

interface Account {
  user_id: string;
  email: string;
  username: string;
  role: string;
}

const BALANCE = '/api/credits/balance';
const times = <T>(count: number, make: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

async function accountsWhere(column: 'user_id' | 'email', value: string): Promise<Account[]> {
  const { rows } = await service.owner.query<Account>(
    `SELECT user_id, email, username, role FROM user_accounts WHERE ${column} = $1`,
    [value],
  );
  return rows;
}
const accountOf = async (userId: string) => (await accountsWhere('user_id', userId))[0];

/** A request with any claims at all; undefined leaves one out. */
const requestWith = (claims: { sub: unknown } & Record<string, unknown>, path = BALANCE, on = service) =>
  on.anonymous().get(path, { authorization: `Bearer ${accessToken(claims)}` });

describe('the first request of a user', () => {
  it('makes one account with a balance for 20 simultaneous requests on two instances', async () => {
    const userId = freshUser();
    const answers = await times(20, (index) => (index % 2 ? service : second).as(userId).get(BALANCE));
    expect(countByStatus(answers)).toEqual({ 200: 20 });
    expect(await accountsWhere('user_id', userId)).toEqual([
      { user_id: userId, email: `${userId}@example.com`, username: userId, role: 'user' },
    ]);
    const balances = await service.owner.query(
      'SELECT available FROM credit_balances WHERE account_id = $1',
      [userId],
    );
    expect(balances.rows).toEqual([{ available: '0' }]);
  });

  it('keeps names and ids of any script as they are', async () => {
    const claims = { sub: `ユーザー-Ω-😀`, username: 'Zoë Ångström 🎉', email: 'zoë@exämple.com' };
    const answer = await requestWith(claims);
    expect(answer.body.userId).toBe(claims.sub);
    expect(await accountOf(claims.sub)).toMatchObject({ email: claims.email, username: claims.username });
  });
});

describe('changed claims', () => {
  it.each([
    ['name', { username: 'renamed' }],
    ['e-mail', { email: `${freshUser('moved')}@example.com` }],
    ['role', { role: 'supervisor' }],
  ])('update the row with a new %s, and only that', async (_name, change) => {
    const user = service.as();
    expect((await user.get(BALANCE)).status).toBe(200);
    const before = await accountOf(user.userId);
    expect((await service.as(user.userId, change).get(BALANCE)).status).toBe(200);
    expect(await accountOf(user.userId)).toEqual({ ...before, ...change });
  });

  it('update the row again when they change back', async () => {
    const user = service.as();
    for (const username of ['one', 'two', 'one']) {
      await service.as(user.userId, { username }).get(BALANCE);
      expect((await accountOf(user.userId))?.username).toBe(username);
    }
  });
});

describe('an e-mail that another account holds', () => {
  it('goes to the user with the newest token, and the other one is not locked out', async () => {
    const email = `${freshUser('shared')}@example.com`;
    const [old, recent] = [service.as(freshUser('old'), { email }), service.as(freshUser('new'), { email })];
    expect((await old.get(BALANCE)).status).toBe(200);
    expect((await recent.get(BALANCE)).status).toBe(200);
    expect(await accountsWhere('email', email)).toMatchObject([{ user_id: recent.userId }]);
    expect((await old.get(BALANCE)).status).toBe(200);
    const moved = `${old.userId}@example.com`;
    expect((await service.as(old.userId, { email: moved }).get(BALANCE)).status).toBe(200);
    expect(await accountOf(old.userId)).toMatchObject({ email: moved });
    expect(await accountOf(recent.userId)).toMatchObject({ email });
  });

  it('locks no user out when first requests of two users with it come at once', async () => {
    await times(10, async () => {
      const email = `${freshUser('race')}@example.com`;
      const answers = await times(2, (index) =>
        (index ? service : second).as(freshUser(), { email }).get(BALANCE),
      );
      expect(countByStatus(answers)).toEqual({ 200: 2 });
      expect(await accountsWhere('email', email)).toHaveLength(1);
    });
  });

  it('locks no user out when ten users claim it at once', async () => {
    const email = `${freshUser('crowd')}@example.com`;
    const answers = await times(10, () => service.as(freshUser(), { email }).get(BALANCE));
    expect(countByStatus(answers)).toEqual({ 200: 10 });
    expect(await accountsWhere('email', email)).toHaveLength(1);
  });

  it.each([
    ['one after the other', false],
    ['at once', true],
  ])('may be swapped between two users %s', async (_name, atOnce) => {
    const users = [freshUser('left'), freshUser('right')] as const;
    const [left, right] = users.map((userId) => `${userId}@example.com`) as [string, string];
    for (const userId of users) await service.as(userId).get(BALANCE);
    const first = () => service.as(users[0], { email: right }).get(BALANCE);
    const other = () => second.as(users[1], { email: left }).get(BALANCE);
    const answers = atOnce ? await Promise.all([first(), other()]) : [await first(), await other()];
    expect(countByStatus(answers)).toEqual({ 200: 2 });
    expect(await accountOf(users[0])).toMatchObject({ email: right });
    expect(await accountOf(users[1])).toMatchObject({ email: left });
  });
});

describe('401 naming the claim, and no account', () => {
  const LONG = 'x'.repeat(300);
  const NUL = 'a\u0000b';
  it.each<[string, string, unknown]>([
    ['sub', 'missing', undefined],
    ['sub', 'empty', ''],
    ['sub', 'a number', 42],
    ['sub', 'null', null],
    ['sub', 'a list', ['alice']],
    ['sub', 'an object', { id: 'alice' }],
    ['sub', 'the reserved word all', 'all'],
    ['sub', 'the reserved word mine', 'mine'],
    ['sub', 'the reserved word in capitals', 'ALL'],
    ['sub', 'the reserved word with a capital', 'All'],
    ['sub', 'a path to itself', '.'],
    ['sub', 'a path upwards', '..'],
    ['sub', 'of 51 characters', 'x'.repeat(51)],
    ['sub', 'named like a service', 'service:internal'],
    ['sub', 'named like an organisation', 'org:acme'],
    ['sub', 'with a turned direction', 'a\u202eb'],
    ['sub', 'with a character without width', 'a\u200bb'],
    ['sub', 'of fillers alone', '\u3164\u3164'],
    ['sub', 'of blank Braille alone', '\u2800'],
    ['sub', 'of variation selectors alone', '\ufe0f'],
    ['sub', 'with NUL', NUL],
    ['sub', 'with a line break', 'a\nb'],
    ['sub', 'with a lone surrogate', 'a\ud800'],
    ['sub', 'with blanks around', ' alice '],
    ['email', 'missing', undefined],
    ['email', 'empty', ''],
    ['email', 'null', null],
    ['email', 'a number', 42],
    ['email', 'a list', ['a@example.com']],
    ['email', 'of 300 characters', LONG],
    ['email', 'with NUL', NUL],
    ['username', 'missing', undefined],
    ['username', 'empty', ''],
    ['username', 'an object', {}],
    ['username', 'true', true],
    ['username', 'of 300 characters', LONG],
    ['username', 'with NUL', NUL],
    ['username', 'with a lone surrogate', '\udc00a'],
  ])('refuses a token whose %s is %s', async (claim, _name, value) => {
    const before = await snapshot(service.owner);
    const good = { sub: freshUser(), email: 'refused@example.com', username: 'refused' };
    expectProblem(await requestWith({ ...good, [claim]: value }), 401, {
      code: 'auth.invalid_token',
      message: 'Invalid token',
      field: claim,
    });
    expect(await snapshot(service.owner)).toEqual(before);
  });

  it('names every claim that is wrong', async () => {
    const answer = await requestWith({ sub: '', email: 1, username: null });
    expectProblem(answer, 401);
    expect((answer.body.errors as { field: string }[]).map(({ field }) => field)).toEqual([
      'sub',
      'email',
      'username',
    ]);
  });

  it.each([
    ['of 50 characters', 'u'.repeat(50)],
    ['of 50 characters of another script', 'ü'.repeat(50)],
    ['that only contains the reserved word', 'all-of-us'],
    ['that only contains the prefix of services', 'my-service:1'],
  ])('takes a sub %s', async (_name, sub) => {
    expect((await requestWith({ sub })).body.userId).toBe(sub);
    expect(await accountOf(sub)).toBeDefined();
  });
});

describe('a list of roles', () => {
  it('gives the highest that this service knows', async () => {
    const sub = freshUser();
    const role = ['user', 'supervisor', 'auditor'];
    expect((await requestWith({ sub, role }, `${BALANCE}/${sub}`)).status).toBe(200);
    expectProblem(await requestWith({ sub, role }, '/api/credits/audit'), 403);
    expect(await accountOf(sub)).toMatchObject({ role: 'supervisor' });
  });
});

describe('a role this service does not know', () => {
  it.each<[string, unknown]>([
    ['missing', undefined],
    ['null', null],
    ['unknown', 'superuser'],
    ['admin in capitals', 'ADMIN'],
    ['admin with a blank', 'admin '],
    ['a list without one', ['ADMIN', 'superuser', ['admin']]],
    ['an object', { role: 'admin' }],
    ['a number', 2],
    ['a name every object has', 'constructor'],
  ])('acts as user when it is %s', async (_name, role) => {
    const sub = freshUser();
    expect((await requestWith({ sub, role })).status).toBe(200);
    expectProblem(await requestWith({ sub, role }, `${BALANCE}/${sub}`), 403, {
      message: 'Supervisor access required',
    });
    expectProblem(await requestWith({ sub, role }, '/api/credits/audit'), 403, {
      message: 'Admin access required',
    });
    expect(await accountOf(sub)).toMatchObject({ role: 'user' });
  });
});

describe('the cost of knowing a user', () => {
  /** Counts the statements that write accounts: the trigger fires once for each, whatever the statement changes. */
  beforeAll(async () => {
    await service.owner.query(`
      CREATE TABLE account_statements (at timestamptz NOT NULL);
      CREATE FUNCTION count_account_statement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN INSERT INTO public.account_statements VALUES (now()); RETURN NULL; END $$;
      CREATE TRIGGER count_account_statement BEFORE INSERT ON user_accounts
        FOR EACH STATEMENT EXECUTE FUNCTION count_account_statement()`);
  });

  async function statementsDuring(work: () => Promise<unknown>): Promise<number> {
    await service.owner.query('TRUNCATE account_statements');
    await work();
    const { rows } = await service.owner.query<{ count: string }>('SELECT count(*) FROM account_statements');
    return Number(rows[0]?.count);
  }

  it('is one statement for 20 simultaneous first requests and none afterwards', async () => {
    const user = service.as();
    expect(await statementsDuring(() => times(20, () => user.get(BALANCE)))).toBe(1);
    expect(await statementsDuring(() => times(20, () => user.get(BALANCE)))).toBe(0);
  });

  it('is one statement for a changed claim and none afterwards', async () => {
    const userId = freshUser();
    await service.as(userId).get(BALANCE);
    const renamed = service.as(userId, { username: 'renamed' });
    expect(await statementsDuring(() => times(5, () => renamed.get(BALANCE)))).toBe(1);
    expect(await statementsDuring(() => renamed.get(BALANCE))).toBe(0);
  });

  it.each([
    ['one after the other', false],
    ['at once', true],
  ])('is a few statements for two tokens whose claims differ, used in turn %s', async (_name, atOnce) => {
    const userId = freshUser();
    await service.as(userId).get(BALANCE);
    const turns = ['one', 'two'].map((username) => service.as(userId, { username }));
    const ask = async (index: number) => expect((await turns[index % 2]!.get(BALANCE)).status).toBe(200);
    const statements = await statementsDuring(async () => {
      if (atOnce) return times(100, ask);
      for (let index = 0; index < 100; index++) await ask(index);
    });
    // Five at once, and ten a minute: the requests take a few seconds at most.
    expect(statements).toBeLessThanOrEqual(10);
    expect((await service.as().get(BALANCE)).status).toBe(200);
  });

  it('is nothing for a token that is refused', async () => {
    expect(await statementsDuring(() => requestWith({ sub: freshUser(), type: 'refresh' }))).toBe(0);
    expect(await statementsDuring(() => requestWith({ sub: freshUser(), email: '' }))).toBe(0);
  });
});

describe('accounts that cannot be written', () => {
  const revoke = () => service.owner.query('REVOKE EXECUTE ON FUNCTION account_upsert FROM accounting_app');
  const grant = () => service.owner.query('GRANT EXECUTE ON FUNCTION account_upsert TO accounting_app');

  it('stop new users only, are no fault of the token, and are tried again', async () => {
    const [known, unknown] = [service.as(), service.as()];
    expect((await known.get(BALANCE)).status).toBe(200);
    await revoke();
    expect((await known.get(BALANCE)).status).toBe(200);
    const answers = await times(5, () => unknown.get(BALANCE));
    for (const answer of answers) expectProblem(answer, 500, { code: 'internal' });
    await grant();
    expect((await unknown.get(BALANCE)).status).toBe(200);
  });

  it('leave public routes open', async () => {
    await revoke();
    const authorization = `Bearer ${accessToken({ sub: freshUser() })}`;
    expect((await service.anonymous().get('/health', { authorization })).status).toBe(200);
    await grant();
  });
});
