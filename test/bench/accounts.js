import jwt from 'jsonwebtoken';
import { SECRET } from './servers.js';

const SEPARATE_ACCOUNTS = 1000;
/** The most that one lot may have: no round runs out of it, and one lot means one ledger entry for each movement. */
const CREDITS = 1_000_000_000_000;
const HISTORY_DAYS = 30;
const AT_ONCE = 20;

/** A record a day of each user, so that statistics have something to add up; written by the service's own function. */
const HISTORY = `
  SELECT count(usage_record(user_id, jsonb_build_object(
           'accountId', user_id, 'userId', user_id, 'timestamp', now() - make_interval(days => day), 'service', 'images',
           'recordedOperation', 'render', 'credits', 5, 'metadata', '{}'::jsonb)))
    FROM user_accounts CROSS JOIN generate_series(1, $1) AS day WHERE user_id LIKE 'bench-%'`;

/** An access token as the authentication service would sign it. */
export function tokenOf(userId, role = 'user') {
  const claims = { sub: userId, email: `${userId}@example.com`, username: userId, role, type: 'access' };
  return jwt.sign(claims, SECRET, { algorithm: 'HS256', expiresIn: '1d' });
}

/**
 * Users with credits, an API key and a history, made through the service.
 *
 * @param {number} port
 * @param {import('pg').Pool} owner
 */
export async function createAccounts(port, owner) {
  const names = Array.from({ length: SEPARATE_ACCOUNTS }, (_, index) => `bench-${index}`);
  const separate = await inLanes(names, (name) => createAccount(port, name));
  const shared = await createAccount(port, 'bench-shared');
  await owner.query(HISTORY, [HISTORY_DAYS]);
  await owner.query('VACUUM ANALYZE');
  return { separate, shared: [shared] };
}

/** Lets an instance see every user once, so that no later request is a user's first. */
export async function introduce(port, accounts) {
  await inLanes([...accounts.separate, ...accounts.shared], ({ token }) =>
    ask(port, 'GET', '/api/credits/balance', token),
  );
}

async function createAccount(port, userId) {
  const user = { userId, email: `${userId}@example.com`, username: userId };
  await ask(port, 'POST', '/api/credits/allocate', tokenOf('root', 'admin'), { ...user, credits: CREDITS });
  const token = tokenOf(userId);
  const { key } = await ask(port, 'POST', '/api/api-keys', token, {
    name: 'bench',
    permissions: ['usage:write'],
  });
  return { userId, token, key };
}

/** One request; anything but a 2xx is an error. */
export async function ask(port, method, path, token, body) {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Does the work for each item, some at once, in their order. */
export async function inLanes(items, work) {
  const results = [];
  const lane = async (first) => {
    for (let index = first; index < items.length; index += AT_ONCE) results[index] = await work(items[index]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, first) => lane(first)));
  return results;
}
