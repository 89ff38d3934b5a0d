import { MODEL } from './scenarios.js';

/**
 * What is timed against the size of the database. An operation answers the milliseconds of its parts by their names.
 *
 * @typedef {object} Side one database and what runs on it
 * @property {(request: Request) => Promise<number>} timed sends one request and answers its milliseconds
 * @property {import('pg').Pool} owner
 * @property {() => Promise<number>} sweep one pass of the session sweeper; answers how many sessions it has ended
 * @property {() => Promise<void>} sweepTotals one pass of the sweeper that makes the lists of largest users
 * @property {string} adminToken
 *
 * @typedef {object} Request
 * @property {string} method
 * @property {string} path
 * @property {string} token
 * @property {object} [body]
 * @property {number} [status] 200 when not given
 *
 * @typedef {object} Operation
 * @property {number} passes over the users, after one that is not measured
 * @property {(side: Side, user: { userId: string, token: string }, id: string) => Promise<Record<string, number>>} run
 */

const TOKENS = 1000;
const SWEPT_SESSIONS = 20;
const DAY_MILLISECONDS = 86_400_000;
const daysAgo = (days) => new Date(Date.now() - days * DAY_MILLISECONDS).toISOString().slice(0, 10);

const get = (path, token) => ({ method: 'GET', path, token });
const post = (path, token, body, status = 200) => ({ method: 'POST', path, token, body, status });
const holdOf = (token, id) =>
  post(
    '/api/streaming-sessions/initialize',
    token,
    { sessionId: id, modelId: MODEL, estimatedTokens: TOKENS },
    201,
  );

/** @type {Operation} */
const MONEY = {
  passes: 3,
  run: async ({ timed }, { token }, id) => ({
    hold: await timed(holdOf(token, id)),
    progress: await timed(
      post('/api/streaming-sessions/progress', token, { sessionId: id, tokensGenerated: 400 }),
    ),
    settle: await timed(
      post('/api/streaming-sessions/finalize', token, { sessionId: id, actualTokens: 700 }),
    ),
    charge: await timed(
      post('/api/usage/charge', token, { requestId: id, modelId: MODEL, tokens: 700 }, 201),
    ),
    check: await timed(post('/api/credits/check', token, { requiredCredits: 100 })),
    balance: await timed(get('/api/credits/balance', token)),
  }),
};

/** @type {Operation} */
const READS = {
  passes: 3,
  run: async ({ timed, adminToken }, { token }) => ({
    'user statistics, a year': await timed(
      get(`/api/usage/stats?startDate=${daysAgo(365)}&endDate=${daysAgo(0)}`, token),
    ),
    'a page of records': await timed(get('/api/usage/records', token)),
    'a page of the ledger': await timed(get('/api/credits/ledger', token)),
    'own active sessions': await timed(get('/api/streaming-sessions/active', token)),
    'records to review': await timed(get('/api/usage/needs-review', adminToken)),
  }),
};

/**
 * What does not depend on the user: fewer times, for it may take long. The list of the largest users is made after the
 * first of the passes, which is not measured.
 *
 * @type {Operation}
 */
const SYSTEM = {
  passes: 0.1,
  run: async ({ timed, adminToken, sweepTotals }) => {
    const range = `startDate=${daysAgo(40)}&endDate=${daysAgo(11)}`;
    const times = {
      'system statistics, a month': await timed(get(`/api/usage/system-stats?top=0&${range}`, adminToken)),
      'with its 100 largest users': await timed(get(`/api/usage/system-stats?${range}`, adminToken)),
    };
    await sweepTotals();
    return times;
  },
};

/** @type {Operation} */
const OPEN_SESSIONS = {
  passes: 0.2,
  run: async ({ timed, adminToken }) => ({
    'all active sessions': await timed(get('/api/streaming-sessions/active/all', adminToken)),
    metrics: await timed(get('/metrics', adminToken)),
  }),
};

/** @type {Operation} */
const SWEEPER = {
  passes: 0.2,
  run: async ({ timed, owner, sweep }, { userId, token }, id) => {
    const sessions = Array.from({ length: SWEPT_SESSIONS }, (_, index) => `${id}-${index}`);
    for (const session of sessions) await timed(holdOf(token, session));
    await owner.query(
      `UPDATE streaming_sessions SET expires_at = now() - interval '1 second' WHERE account_id = $1 AND session_id = ANY($2)`,
      [userId, sessions],
    );
    const begun = performance.now();
    const ended = await sweep();
    const milliseconds = performance.now() - begun;
    if (ended !== SWEPT_SESSIONS)
      throw new Error(`the sweeper ended ${ended} sessions, not ${SWEPT_SESSIONS}`);
    const idle = performance.now();
    await sweep();
    return {
      'sweeper, each session': milliseconds / SWEPT_SESSIONS,
      'sweeper, nothing to do': performance.now() - idle,
    };
  },
};

/** For the database's size. */
export const OPERATIONS = [MONEY, READS, SYSTEM, SWEEPER, OPEN_SESSIONS];
/** What counts or sorts every open session, and so takes longer the more there are: shown, and not held to the limit. */
export const UNLIMITED = new Set(['all active sessions', 'metrics']);
/** For the size of one account. */
export const ACCOUNT_OPERATIONS = [MONEY];
