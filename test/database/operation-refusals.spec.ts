import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sqlFunctions } from '../../migrations/functions.js';
import { translateDatabaseError } from '../../src/common/errors/database-errors.js';
import { userIdProblem } from '../../src/common/http/text.js';
import { expectSoundBooks, userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
/** As the running service's role. */
let runtime: pg.Client;
let userId: string;
beforeAll(async () => {
  service = await startService();
  userId = (await userWithCredits(service, 1000)).userId;
  runtime = new pg.Client({ connectionString: service.databaseUrl });
  await runtime.connect();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await runtime.end();
  await service.close();
});

const HASH = 'a'.repeat(64);
const MOST = 1_000_000_000_000;
const text = (length: number) => 'x'.repeat(length);
const id = (length: number): unknown[] => [null, '', ' x', 'x\n', text(length + 1)];
const tokens = [-1, 1_000_000_001];
const limit = { good: 10, bad: [null, 0, -1, 1_000_000] };
/** Nothing is wrong with any value of its type. */
const any = (good: unknown) => ({ good, bad: [] });

interface Parameter {
  good: unknown;
  /** Each of them, alone, must be refused. */
  bad: unknown[];
}

/** By the name of the request's field or of the parameter; `operation.name` where an operation takes others. */
const PARAMETERS: Record<string, Parameter> = {
  accountId: { good: 'USER', bad: [...id(50), 'all', 'service:x', 'org:'] },
  userId: { good: 'USER', bad: [...id(50), 'all', 'service:x', 'org:x'] },
  'idempotency_earlier.accountId': { good: 'user:x', bad: [null, '', text(65)] },
  'idempotency_keep.accountId': { good: 'user:x', bad: [null, '', text(65)] },
  p_user: { good: 'USER', bad: [...id(50), 'all', 'service:x'] },
  actorId: { good: 'USER', bad: [...id(50), 'all', 'service:x', 'org:x'] },
  supervises: { good: true, bad: [null] },
  hasTooMany: { good: false, bad: [null] },
  role: { good: 'member', bad: [null, '', 'supervisor'] },
  unitId: { good: null, bad: [0, -1] },
  parentId: { good: null, bad: [0, -1] },
  credits: { good: 5, bad: [null, 0, -5000, MOST + 1] },
  'usage_record.credits': { good: 5, bad: [null, -1, MOST + 1] },
  'usage_review.credits': { good: 5, bad: [-1, MOST + 1] },
  'usage_charge.credits': { good: null, bad: [-1, MOST + 1] },
  notes: { good: 'x', bad: [text(1001)] },
  'credit_deduct.notes': { good: 'x', bad: [null, '', text(1001)] },
  actor: { good: 'boss', bad: [null, '', text(65)] },
  callerId: { good: 'user:x', bad: [null, '', text(65)] },
  idempotencyKey: { good: 'k', bad: ['', text(256)] },
  'idempotency_keep.idempotencyKey': { good: 'k', bad: [null, '', text(256)] },
  'idempotency_earlier.idempotencyKey': { good: 'k', bad: [null, '', text(256)] },
  requestHash: { good: HASH, bad: [null, 'a'.repeat(62)] },
  answer: { good: {}, bad: [null, [], 1] },
  // A call that is refused for something else does not come to it.
  origin: any({ actor: 'boss', role: 'admin', address: '127.0.0.1', requestId: 'r' }),
  'activity_write.origin': {
    good: { actor: 'boss', role: 'admin' },
    bad: [null, {}, { actor: '', role: 'admin' }, { actor: 'boss', role: 'king' }],
  },
  'activity_write.accountId': { good: 'USER', bad: ['all', 'service:x'] },
  'activity_write.action': { good: 'price.created', bad: [null, '', 'price', 'Price.created'] },
  subject: { good: 'x', bad: [null, '', text(201)] },
  before: any(null),
  after: any({ a: 1 }),
  expiryDays: { good: 1, bad: [null, 0, -1, 3651] },
  email: { good: 'a@b', bad: ['', text(256)] },
  p_email: { good: 'a@b', bad: [null, '', text(256)] },
  username: { good: 'a', bad: ['', ' ', text(101)] },
  p_username: { good: 'a', bad: [null, '', text(101)] },
  p_role: { good: 'user', bad: [null, '', text(51)] },
  allocationId: { good: 1, bad: [null, 0, -1] },
  wait: { good: true, bad: [null] },
  threshold: { good: 5, bad: [-1, MOST + 1] },
  modelId: { good: 'm', bad: id(100) },
  sessionId: { good: 's', bad: id(100) },
  requestId: { good: 'r', bad: id(200) },
  contentHash: { good: HASH, bad: [null, 'a'.repeat(62)] },
  quantities: {
    good: { tokens: 10 },
    bad: [
      ...[
        null,
        {},
        [],
        { none: 1 },
        { input: 1, none: 1 },
        { tokens: '1' },
        { tokens: null },
        { tokens: [] },
      ],
      ...[...tokens, 1.5].map((count) => ({ input: 1, tokens: count })),
    ],
  },
  'session_settle.tokensGenerated': { good: null, bad: tokens },
  'session_settle.quantities': any({ tokens: 10 }),
  serviceTier: { good: 'standard', bad: [null, '', 'fast'] },
  unexplainedTokens: { good: 0, bad: tokens },
  p_models: any('{m}'),
  p_at: any('{2026-01-01Z}'),
  estimatedTokens: { good: 10, bad: [null, ...tokens] },
  estimatedInputTokens: { good: null, bad: tokens },
  estimatedOutputTokens: { good: null, bad: tokens },
  // Beside estimatedTokens none is good.
  maxOutputTokens: { good: null, bad: [...tokens, 10] },
  tokensGenerated: { good: 10, bad: [null, ...tokens] },
  bufferPercent: { good: 20, bad: [null, -1, 1001] },
  leaseSeconds: { good: 900, bad: [null, 0, -1, 86_401] },
  rejectUnpriced: { good: false, bad: [null] },
  maximumAgeSeconds: { good: 86_400, bad: [null, 0] },
  apiKeyId: { good: null, bad: [999_999] },
  'usage_record.apiKeyId': any(null),
  'session_progress.apiKeyId': any(null),
  'api_key_revoke.userId': { good: null, bad: ['', 'org:x'] },
  'session_settle.apiKeyId': any(null),
  reason: { good: 'finalized', bad: [null, '', 'timeout'] },
  success: { good: true, bad: [null] },
  providerCostUsd: { good: null, bad: ['-0.1', 'NaN', '10000000000000'] },
  usageSource: { good: null, bad: ['', 'guessed'] },
  service: { good: 's', bad: [null, '', text(51)] },
  recordedOperation: { good: 'o', bad: [null, '', text(101)] },
  metadata: { good: {}, bad: [null, [], 1, { a: text(200_000) }] },
  timestamp: { good: null, bad: ['1969-12-31T00:00:00Z', '2999-01-01T00:00:00Z', 'infinity'] },
  billingStatus: { good: 'billed', bad: [null, '', 'waived'] },
  onInsufficient: { good: 'reject', bad: [null, '', 'x'] },
  usageId: { good: 1, bad: [null, 0, -1] },
  action: { good: 'bill', bad: [null, '', 'x'] },
  version: { good: 1, bad: [null, 0, -1] },
  p_limit: limit,
  creditLimit: { good: 5, bad: [-1, MOST + 1] },
  days: { good: 30, bad: [null, -1, 100_000] },
  p_days: { good: 30, bad: [null, -1, 100_000] },
  'activity_forget.p_days': { good: 30, bad: [null, 29, 100_000] },
  'events_forget.p_days': { good: 30, bad: [null, 0, -1, 100_000] },
  digest: { good: HASH, bad: [null, '', text(64)] },
  hint: { good: 'x', bad: [null, '', text(21)] },
  name: { good: 'x', bad: id(100) },
  permissions: { good: [], bad: [null] },
  expiresAt: { good: null, bad: ['infinity'] },
  gateway: { good: null, bad: ['', 'x'.repeat(21)] },
  settings: { good: null, bad: [{}, []] },
  sealed: { good: 'x', bad: [null, text(1001)] },
  id: { good: 999, bad: [null, 0, -1] },
  payerVersion: { good: null, bad: [1] },
  'organisation_create.id': {
    good: 'org:x',
    bad: [null, '', 'x', 'org:', 'org:-x', 'org:X', 'org:x\n', `org:${text(42)}`],
  },
  overlapSeconds: { good: 0, bad: [null, -1, 2_592_001] },
  'api_key_open.overlapSeconds': { good: 0, bad: [-1, 2_592_001] },
  oldId: { good: null, bad: [0, -1] },
  changes: {
    good: {},
    bad: [null, [], { name: null }, { name: '' }, { permissions: 1 }, { creditLimit: -1 }],
  },
  'member_change.changes': { good: {}, bad: [null, [], { role: null }, { role: 'x' }, { unitId: 0 }] },
  'budget_create.scope': { good: 'account', bad: [null, '', 'planet'] },
  'budget_create.scopeId': { good: null, bad: ['', 'x'] },
  'budget_create.unit': { good: 'credits', bad: [null, '', 'cows'] },
  'budget_create.window': { good: 'day', bad: [null, '', 'fortnight'] },
  timeZone: { good: 'UTC', bad: [null, '', text(65)] },
  anchorDay: { good: 1, bad: [null, 0, 32] },
  amount: { good: 5, bad: [null, -1, MOST + 1] },
  mode: { good: 'hard', bad: [null, '', 'x'] },
  alerts: { good: [50], bad: [null, [0], [101], Array.from({ length: 11 }, (_, index) => index + 1)] },
  setBy: { good: 'account', bad: [null, '', 'x'] },
  isPlatform: { good: false, bad: [null] },
  memberId: { good: null, bad: ['', 'all', 'org:x'] },
  until: { good: null, bad: ['infinity'] },
  'budget_raise.reason': { good: 'r', bad: [null, '', text(201)] },
  'budget_raise.amount': { good: 5, bad: [null, 0, -1, MOST + 1] },
  'budget_update.changes': {
    good: {},
    bad: [null, [], { amount: -1 }, { mode: 'x' }, { alerts: 1 }, { alerts: [0] }],
  },
  tags: { good: null, bad: [[], 1, { a: 1 }, { 'a b': 'x' }, { a: '' }] },
  'unit_change.changes': { good: {}, bad: [null, [], { name: null }, { name: '' }, { parentId: 0 }] },
};

/** Their arguments are the service's own, and none of them moves credits or makes a key. */
const NOT_CHECKED = [
  'api_key_budget',
  'api_keys_live',
  'api_keys_verify',
  'audit_ended',
  'available_credits',
  'budget_periods_list',
  'budgets_list',
  'clock_now',
  'counted_service',
  'credits_room',
  'events_newest',
  'events_publish',
  'gateway_unit_stays',
  'held_credits',
  'movements',
  'tokens_of',
  'usage_classes',
  'usage_close_day',
  'output_lengths_learn',
  'quarantine_is_known',
  'usage_details',
  'usage_json',
  'usage_leaders',
  'usage_make_leaders',
  'usage_reprice',
  'webhook_claim',
  'webhook_go_on',
  'webhook_replay',
  'webhook_settle',
];

interface Called {
  /** Fields of its one JSON request, or its parameters. */
  fields: string[];
  takesRequest: boolean;
  /** Whether the account is a parameter of its own, before the request. */
  isOfAccount: boolean;
}

/** What each operation reads, by its own text and by that of a function which it hands its request to. */
function operations(): Map<string, Called> {
  const functions = sqlFunctions();
  const called = functions.filter(({ name, isOperation }) => isOperation && !NOT_CHECKED.includes(name));
  return new Map(
    called.map(({ name, text }) => {
      const inner = /:= (\w+)\(p_account, p,/.exec(text)?.[1];
      const source = text + (functions.find((each) => each.name === inner)?.text ?? '');
      const takesRequest = /\((?:\w+ varchar, )?p jsonb\)/.test(source);
      const isOfAccount = source.includes(' varchar, p jsonb)');
      const reads = takesRequest
        ? [
            ...(isOfAccount ? ['accountId'] : []),
            ...[...source.matchAll(/\bp ->>? '(\w+)'/g)].map(([, field]) => field as string),
          ]
        : [
            ...(/\(([^)]*)\)/.exec(source.slice(source.indexOf(`FUNCTION ${name}`)))?.[1] ?? '').matchAll(
              /\b(p_\w+) /g,
            ),
          ].map(([, parameter]) => parameter as string);
      const idempotent = source.includes('is_idempotency(p)')
        ? ['callerId', 'idempotencyKey', 'requestHash']
        : [];
      const noted = /\bwrite_activity\(\s*p,/.test(source) ? ['origin'] : [];
      const fields = [...new Set([...reads, ...idempotent, ...noted])];
      return [name, { fields, takesRequest, isOfAccount }];
    }),
  );
}

const knownAs = (operation: string, field: string): Parameter | undefined =>
  PARAMETERS[`${operation}.${field}`] ?? PARAMETERS[field];

/** The error of one call as the service's role, which is taken back; undefined when there is none. */
async function call(
  operation: string,
  { fields, takesRequest, isOfAccount }: Called,
  ...changed: [string, unknown][]
) {
  const bad = new Map(changed);
  const given = fields.map((name): [string, unknown] => {
    const value = bad.has(name) ? bad.get(name) : knownAs(operation, name)?.good;
    return [name, value === 'USER' ? userId : value];
  });
  const request = Object.fromEntries(given);
  const values = !takesRequest
    ? given.map(([, value]) => value)
    : [...(isOfAccount ? [request['accountId']] : []), JSON.stringify(request)];
  await runtime.query('BEGIN');
  try {
    const places = values.map((_, index) => `$${index + 1}`).join(', ');
    await runtime.query(`SELECT ${operation}(${places})`, values);
    return undefined;
  } catch (error) {
    return error as pg.DatabaseError;
  } finally {
    await runtime.query('ROLLBACK');
  }
}

describe('every operation, called as the service’s role', () => {
  it('has a case for each field that it reads', () => {
    const unknown = [...operations()].flatMap(([operation, { fields }]) =>
      fields
        .filter((field) => knownAs(operation, field) === undefined)
        .map((field) => `${operation}.${field}`),
    );
    expect(unknown).toEqual([]);
  });

  it('takes good arguments, and refuses each bad one with the name of a field', async () => {
    const wrong: string[] = [];
    for (const [operation, called] of operations()) {
      const good = await call(operation, called);
      if (good !== undefined) wrong.push(`${operation}: ${good.message}`);
      for (const field of called.fields) {
        for (const bad of knownAs(operation, field)?.bad ?? []) {
          const error = await call(operation, called, [field, bad]);
          const shown = `${operation}.${field} = ${String(JSON.stringify(bad)).slice(0, 40)}`;
          if (error?.code !== '22023' || !error.column) wrong.push(`${shown}: ${error?.message ?? 'taken'}`);
        }
      }
    }
    expect(wrong.join('\n')).toBe('');
  });

  it('refuses an organisation as the user, also of its own account', async () => {
    await service.owner.query(`INSERT INTO credit_balances (account_id) VALUES ('org:x')`);
    for (const operation of ['session_hold', 'usage_charge', 'usage_record']) {
      const called = operations().get(operation) as Called;
      const error = await call(operation, called, ['accountId', 'org:x'], ['userId', 'org:x']);
      expect(error, operation).toMatchObject({ code: '22023', column: 'userId' });
    }
    await service.owner.query(`DELETE FROM credit_balances WHERE account_id = 'org:x'`);
  });

  it('refuses a negative deduction in a batch as well', async () => {
    const calls = JSON.stringify([
      { operation: 'credit_deduct', accountId: userId, credits: 5, notes: 'x', actor: 'boss' },
      { operation: 'credit_deduct', accountId: userId, credits: -5000, notes: 'x', actor: 'boss' },
    ]);
    await expect(runtime.query('SELECT movements($1, $2, 0)', [userId, calls])).rejects.toMatchObject({
      code: '22023',
      column: 'credits',
    });
  });

  it('would be a 400 that names the field', async () => {
    const error = await call('credit_deduct', operations().get('credit_deduct') as Called, [
      'credits',
      -5000,
    ]);
    expect(translateDatabaseError(error)).toMatchObject({
      status: 400,
      details: { errors: [{ field: 'credits', message: 'is not valid' }] },
    });
  });
});

describe('a user id', () => {
  it('is one to the database when it is one to the service', async () => {
    const ids = [
      'alice',
      'a b',
      'ALL',
      'Mine',
      'Service:x',
      'ä€',
      'Org:x',
      'x:org:y',
      text(50),
      '',
      ' ',
      ' a',
      'a ',
      'a\n',
      '\u007f',
    ];
    ids.push(
      'all',
      'service:',
      'service:x',
      text(51),
      '\u00a0a',
      'a\u2003',
      '\ufeffa',
      'a\u0001b',
      '\ta',
      '\u3000',
    );
    const refused = ['org:x', 'org:'];
    for (const hidden of '\u0080\u009f\u00ad\u061c\u180e\u200b\u200f\u2028\u202e\u2060\u206f\ufeff\ufff9\ufffb')
      refused.push(`a${hidden}b`);
    // Blank, or not seen at all, by whatever they stand.
    for (const hidden of '\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u2800\u3164\ufe00\ufe0f\uffa0\ufff0\ufff8\u{1bca0}\u{1d173}\u{e0000}\u{e0041}\u{e0fff}')
      refused.push(hidden, `a${hidden}b`);
    ids.push(...refused, 'a\u00a0b', 'a\u200ab', 'a\u2010b', '\u{1f600}');
    const { rows } = await service.owner.query<{ id: string; is: boolean }>(
      'SELECT id, is_user_id(id) AS is FROM unnest($1::text[]) AS id',
      [ids],
    );
    const differ = rows.filter(({ id, is }) => is !== (userIdProblem(id) === undefined)).map((row) => row.id);
    expect(differ).toEqual([]);
    expect(rows.filter(({ id, is }) => is && refused.includes(id))).toEqual([]);
  });
});
