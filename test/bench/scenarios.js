import { createHash } from 'node:crypto';

/**
 * What is measured. A scenario is a list of requests that one connection sends in turn, the same bytes to the service
 * and to the floor.
 *
 * @typedef {object} Account
 * @property {string} userId
 * @property {string} token a JWT of this user
 * @property {string} [key] an API key of this user
 * @property {string} [accountId] who pays; the user's personal account when not given
 *
 * @typedef {object} Turn one pass through the steps of a scenario
 * @property {string} id no other turn of the whole run has it
 * @property {Account} account
 * @property {number} requests how many requests were sent in it before
 *
 * @typedef {object} Step
 * @property {'GET' | 'POST'} method
 * @property {string} path
 * @property {(turn: Turn) => object} [body]
 * @property {number} status the only answer that is right
 * @property {'user' | 'supervisor'} [caller] whose token is sent; the user's when not given
 * @property {Partial<Record<Movement, number>>} [moves] what one 2xx must have put into the database
 * @property {FloorStatement} floor
 *
 * @typedef {object} FloorStatement the statement that the floor answers with
 * @property {string} name
 * @property {string} [text] as the service's own when not given (see statements.js)
 * @property {(user: string, body: any, raw: string) => unknown[]} values
 *
 * @typedef {object} Scenario
 * @property {string} name for --scenario
 * @property {string} title
 * @property {Step[]} steps
 * @property {Step} [prepare] sent once per turn before the clock runs; the turns are then used again and again
 * @property {boolean} isMovement whether requests of one account wait for each other
 *
 * @typedef {'holds' | 'settlements' | 'progress' | 'charges' | 'records' | 'entries'} Movement
 */

export const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
/** A day: no session times out while the bench runs, so every end in the books is one that was asked for. */
export const LEASE_SECONDS = 86_400;
const MAXIMUM_AGE_SECONDS = 86_400;
const BUFFER_PERCENT = 20;
const ESTIMATED_TOKENS = 1000;
const ACTUAL_TOKENS = 700;
/** More than one session reports: each report is one token, so that their sum counts the reports. */
const TOKENS_NEVER_REACHED = 10_000_000;

/** An operation of the service, with the request that the floor calls it with. */
function call(name, requestOf) {
  const values = (user, body, raw) => [
    user,
    JSON.stringify({ accountId: user, userId: user, actor: user, ...requestOf(user, body, raw) }),
  ];
  return { name, text: `SELECT ${name}($1, $2) AS answer`, values };
}

/** @returns {Step} */
function holdOf(tokens) {
  return {
    method: 'POST',
    path: '/api/streaming-sessions/initialize',
    status: 201,
    body: ({ id, account: { accountId } }) => ({
      sessionId: id,
      accountId,
      modelId: MODEL,
      estimatedTokens: tokens,
    }),
    moves: { holds: 1, entries: 1 },
    floor: call('session_hold', (_user, body) => ({
      sessionId: body.sessionId,
      modelId: body.modelId,
      estimatedTokens: body.estimatedTokens,
      bufferPercent: BUFFER_PERCENT,
      leaseSeconds: LEASE_SECONDS,
      rejectUnpriced: false,
    })),
  };
}

const HOLD = holdOf(ESTIMATED_TOKENS);

/** @type {Step} */
const SETTLE = {
  method: 'POST',
  path: '/api/streaming-sessions/finalize',
  status: 200,
  body: ({ id, account: { accountId } }) => ({ sessionId: id, accountId, actualTokens: ACTUAL_TOKENS }),
  // One entry: the refund of what was held and not used.
  moves: { settlements: 1, entries: 1 },
  floor: call('session_settle', (_user, body) => ({
    sessionId: body.sessionId,
    reason: 'finalized',
    success: true,
    quantities: { tokens: body.actualTokens },
    serviceTier: 'standard',
  })),
};

/** @type {Step} */
const PROGRESS = {
  method: 'POST',
  path: '/api/streaming-sessions/progress',
  status: 200,
  body: ({ id, requests }) => ({ sessionId: id, tokensGenerated: requests + 1 }),
  moves: { progress: 1 },
  floor: call('session_progress', (_user, body) => ({
    sessionId: body.sessionId,
    tokensGenerated: body.tokensGenerated,
    bufferPercent: BUFFER_PERCENT,
    leaseSeconds: LEASE_SECONDS,
    maximumAgeSeconds: MAXIMUM_AGE_SECONDS,
  })),
};

/** @type {Step} */
const CHARGE = {
  method: 'POST',
  path: '/api/usage/charge',
  status: 201,
  body: ({ id, account: { accountId } }) => ({
    requestId: id,
    accountId,
    modelId: MODEL,
    tokens: ACTUAL_TOKENS,
  }),
  moves: { charges: 1, entries: 1 },
  floor: call('usage_charge', (_user, body, raw) => ({
    requestId: body.requestId,
    contentHash: createHash('sha256').update(raw).digest('hex'),
    modelId: body.modelId,
    quantities: { tokens: body.tokens },
    serviceTier: 'standard',
    service: 'chat',
    metadata: {},
    billingStatus: 'billed',
    onInsufficient: 'reject',
    rejectUnpriced: false,
  })),
};

/** @type {Step} */
const CHECK = {
  method: 'POST',
  path: '/api/credits/check',
  status: 200,
  body: () => ({ requiredCredits: 100 }),
  floor: { name: 'credit_available', values: (user) => [user] },
};

/** @type {Step} */
const BALANCE = {
  method: 'GET',
  path: '/api/credits/balance',
  status: 200,
  floor: { name: 'credit_balance', values: (user) => [user] },
};

/** @type {Step} */
const VERIFY = {
  method: 'POST',
  path: '/api/api-keys/verify',
  status: 200,
  caller: 'supervisor',
  body: ({ account }) => ({ key: account.key }),
  floor: {
    name: 'api_keys_verify',
    values: (_user, body) => [createHash('sha256').update(body.key).digest('hex')],
  },
};

/** @type {Step} */
const RECORD = {
  method: 'POST',
  path: '/api/usage/record',
  status: 201,
  body: ({ id }) => ({ service: 'images', operation: 'render', credits: 3, metadata: { job: id } }),
  moves: { records: 1 },
  floor: call('usage_record', (_user, body) => ({
    service: body.service,
    recordedOperation: body.operation,
    credits: body.credits,
    metadata: body.metadata,
  })),
};

/** @type {Step} */
const STATISTICS = {
  method: 'GET',
  path: '/api/usage/stats',
  status: 200,
  floor: { name: 'usage_user_stats', values: (user) => [null, null, user] },
};

/** @type {Scenario[]} */
export const SCENARIOS = [
  { name: 'hold', title: 'hold', steps: [HOLD], isMovement: true },
  { name: 'lifecycle', title: 'hold + settle', steps: [HOLD, SETTLE], isMovement: true },
  {
    name: 'progress',
    title: 'progress',
    prepare: holdOf(TOKENS_NEVER_REACHED),
    steps: [PROGRESS],
    isMovement: true,
  },
  { name: 'charge', title: 'charge', steps: [CHARGE], isMovement: true },
  { name: 'check', title: 'check', steps: [CHECK], isMovement: false },
  { name: 'balance', title: 'balance', steps: [BALANCE], isMovement: false },
  { name: 'verify', title: 'verify key', steps: [VERIFY], isMovement: false },
  { name: 'record', title: 'record', steps: [RECORD], isMovement: true },
  { name: 'statistics', title: 'user statistics', steps: [STATISTICS], isMovement: false },
];

/** Every request that a scenario may send. */
export function allSteps() {
  return SCENARIOS.flatMap(({ prepare, steps }) => [...steps, ...(prepare ? [prepare] : [])]);
}
