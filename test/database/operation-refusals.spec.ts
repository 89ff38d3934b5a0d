import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

const HASH = Buffer.alloc(32);
const MOST = 1_000_000_000_000;
const text = (length: number) => 'x'.repeat(length);
const id = (length: number): unknown[] => [null, '', ' x', 'x\n', text(length + 1)];
const tokens = [-1, 1_000_000_001];
const limit = { good: 10, bad: [null, 0, -1, 1_000_000] };
const key = { good: null, bad: ['', text(256)] };
/** Nothing is wrong with any value of its type. */
const any = (good: unknown) => ({ good, bad: [] });

interface Parameter {
  good: unknown;
  /** Each of them, alone, must be refused. */
  bad: unknown[];
}

/** By name; `operation.name` where an operation takes others. */
const PARAMETERS: Record<string, Parameter> = {
  p_user: { good: 'USER', bad: [...id(50), 'all', 'service:x'] },
  p_credits: { good: 5, bad: [null, 0, -5000, MOST + 1] },
  'usage_record.p_credits': { good: 5, bad: [null, -1, MOST + 1] },
  'usage_review.p_credits': { good: 5, bad: [-1, MOST + 1] },
  p_notes: { good: 'x', bad: [text(1001)] },
  'credit_deduct.p_notes': { good: 'x', bad: [null, '', text(1001)] },
  p_actor: { good: 'boss', bad: [null, '', text(65)] },
  p_caller: any('user:x'),
  p_key: key,
  'idempotency_keep.p_key': { good: 'k', bad: [null, '', text(256)] },
  'idempotency_earlier.p_key': { good: 'k', bad: [null, '', text(256)] },
  'idempotency_keep.p_caller': { good: 'user:x', bad: [null, '', text(65)] },
  'idempotency_earlier.p_caller': { good: 'user:x', bad: [null, '', text(65)] },
  p_hash: any(HASH),
  'idempotency_keep.p_hash': { good: HASH, bad: [null, Buffer.alloc(31)] },
  'idempotency_earlier.p_hash': { good: HASH, bad: [null, Buffer.alloc(31)] },
  p_answer: { good: '{}', bad: [null, '[]', '1'] },
  p_expiry_days: { good: 1, bad: [null, 0, -1, 3651] },
  p_email: { good: 'a@b', bad: ['', text(256)] },
  'account_upsert.p_email': { good: 'a@b', bad: [null, '', text(256)] },
  p_username: { good: 'a', bad: ['', ' ', text(101)] },
  'account_upsert.p_username': { good: 'a', bad: [null, '', text(101)] },
  p_role: { good: 'user', bad: [null, '', text(51)] },
  p_allocation: { good: 1, bad: [null, 0, -1] },
  p_wait: { good: true, bad: [null] },
  p_threshold: { good: 5, bad: [-1, MOST + 1] },
  p_model: { good: 'm', bad: id(100) },
  p_session: { good: 's', bad: id(100) },
  p_request: { good: 'r', bad: id(200) },
  p_request_hash: { good: HASH, bad: [null, Buffer.alloc(31)] },
  p_tokens: { good: 10, bad: tokens },
  'session_hold.p_tokens': { good: 10, bad: [null, 0, ...tokens] },
  'session_settle.p_tokens': { good: 10, bad: [null, ...tokens] },
  'usage_charge.p_tokens': { good: 10, bad: [null, ...tokens] },
  'credit_quote.p_tokens': { good: 10, bad: [null, ...tokens] },
  p_input: { good: null, bad: tokens },
  p_output: { good: null, bad: tokens },
  p_cached: { good: null, bad: tokens },
  p_generated: { good: 10, bad: [null, ...tokens] },
  p_buffer_percent: { good: 20, bad: [null, -1, 1001] },
  p_lease_seconds: { good: 900, bad: [null, 0, -1, 86_401] },
  p_reject_unpriced: { good: false, bad: [null] },
  p_maximum_age_seconds: any(null),
  p_api_key: any(null),
  'session_hold.p_api_key': { good: null, bad: [999_999] },
  'usage_charge.p_api_key': { good: null, bad: [999_999] },
  p_reason: { good: 'finalized', bad: [null, '', 'timeout'] },
  p_success: { good: true, bad: [null] },
  p_cost: { good: null, bad: ['-0.1', 'NaN', '10000000000000'] },
  p_service: { good: 's', bad: [null, '', text(51)] },
  p_operation: { good: 'o', bad: [null, '', text(101)] },
  p_metadata: { good: '{}', bad: [null, '[]', '1', JSON.stringify({ a: text(200_000) })] },
  p_at: { good: null, bad: ['1969-12-31T00:00:00Z', '2999-01-01T00:00:00Z', 'infinity'] },
  p_billing: { good: 'billed', bad: [null, '', 'waived'] },
  p_on_short: { good: 'reject', bad: [null, '', 'x'] },
  p_usage: { good: 1, bad: [null, 0, -1] },
  p_action: { good: 'bill', bad: [null, '', 'x'] },
  p_version: { good: 1, bad: [0, -1] },
  p_limit: limit,
  'api_key_create.p_limit': { good: 5, bad: [-1, MOST + 1] },
  p_days: { good: 30, bad: [null, -1, 100_000] },
  'events_forget.p_days': { good: 30, bad: [null, 0, -1, 100_000] },
  p_digest: { good: 'a'.repeat(64), bad: [null, '', text(64)] },
  p_hint: { good: 'x', bad: [null, '', text(21)] },
  p_name: { good: 'x', bad: id(100) },
  p_permissions: { good: [], bad: [null] },
  p_expires_at: { good: null, bad: ['2000-01-01T00:00:00Z'] },
  p_gateway: { good: null, bad: ['', 'other'] },
  p_settings: { good: null, bad: ['{}', '[]'] },
  p_sealed: { good: null, bad: ['x'] },
  p_id: { good: 999, bad: [null, 0, -1] },
  p_overlap_seconds: { good: 0, bad: [null, -1, 2_592_001] },
  'api_key_open.p_overlap_seconds': { good: 0, bad: [-1, 2_592_001] },
  p_old: { good: null, bad: [0, -1] },
  p_changes: {
    good: '{}',
    bad: [null, '[]', '{"name": null}', '{"name": ""}', '{"permissions": 1}', '{"creditLimit": -1}'],
  },
};

/** Their arguments are the service's own, and none of them moves credits or makes a key. */
const NOT_CHECKED = [
  'available_credits',
  'events_newest',
  'events_publish',
  'movements',
  'usage_board',
  'usage_close_day',
  'usage_leaders',
  'webhook_claim',
  'webhook_delete',
  'webhook_lanes_due',
  'webhook_replay',
  'webhook_settle',
];

async function operations(): Promise<Record<string, string[]>> {
  const { rows } = await service.owner.query<{ name: string; parameters: string[] }>(
    `SELECT proname AS name, coalesce(proargnames[1:pronargs], '{}') AS parameters FROM pg_proc p
      WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('accounting_app', oid, 'EXECUTE')
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        AND proname <> ALL ($1) ORDER BY 1`,
    [NOT_CHECKED],
  );
  return Object.fromEntries(rows.map(({ name, parameters }) => [name, parameters]));
}

const knownAs = (operation: string, parameter: string): Parameter | undefined =>
  PARAMETERS[`${operation}.${parameter}`] ?? PARAMETERS[parameter];

/** The error of one call as the service's role, which is taken back; undefined when there is none. */
async function call(operation: string, parameters: string[], changed?: [string, unknown]) {
  const values = parameters.map((name) => {
    const value = changed?.[0] === name ? changed[1] : knownAs(operation, name)?.good;
    return value === 'USER' ? userId : value;
  });
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
  it('has a case for each of its parameters', async () => {
    const unknown = Object.entries(await operations()).flatMap(([operation, parameters]) =>
      parameters
        .filter((parameter) => knownAs(operation, parameter) === undefined)
        .map((parameter) => `${operation}.${parameter}`),
    );
    expect(unknown).toEqual([]);
  });

  it('takes good arguments, and refuses each bad one with the name of a field', async () => {
    const wrong: string[] = [];
    for (const [operation, parameters] of Object.entries(await operations())) {
      const good = await call(operation, parameters);
      if (good !== undefined) wrong.push(`${operation}: ${good.message}`);
      for (const parameter of parameters) {
        for (const bad of knownAs(operation, parameter)?.bad ?? []) {
          const error = await call(operation, parameters, [parameter, bad]);
          const shown = `${operation}.${parameter} = ${String(JSON.stringify(bad)).slice(0, 40)}`;
          if (error?.code !== '22023' || !error.column) wrong.push(`${shown}: ${error?.message ?? 'taken'}`);
        }
      }
    }
    expect(wrong.join('\n')).toBe('');
  });

  it('refuses a negative deduction in a batch as well', async () => {
    const calls = JSON.stringify([
      ['credit_deduct', [userId, 5, 'x', 'boss', null, null, null]],
      ['credit_deduct', [userId, -5000, 'x', 'boss', null, null, null]],
    ]);
    await expect(runtime.query('SELECT movements($1, 0)', [calls])).rejects.toMatchObject({
      code: '22023',
      column: 'credits',
    });
  });

  it('would be a 400 that names the field', async () => {
    const { credit_deduct: parameters = [] } = await operations();
    const error = await call('credit_deduct', parameters, ['p_credits', -5000]);
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
