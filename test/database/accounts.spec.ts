import { describe, expect, it } from 'vitest';
import { sqlFunctions } from '../../migrations/functions.js';

/** The tables whose rows belong to one account each. */
const TABLES = [
  'credit_balances',
  'credit_allocations',
  'credit_ledger',
  'organisations',
  'units',
  'members',
  'budgets',
  'budget_periods',
  'budget_raises',
  'streaming_sessions',
  'session_places',
  'usage_records',
  'usage_reviews',
  'usage_daily',
  'usage_corrections',
  'api_keys',
  'idempotency_keys',
  'activity',
  'event_outbox',
];
const NAMES_A_TABLE = new RegExp(
  `\\b(?:FROM|JOIN|UPDATE|INTO|USING)\\s+(?:ONLY\\s+)?(?:${TABLES.join('|')})\\b`,
);

/** They work through the rows of all accounts, a bounded number at a time. No movement calls them. */
const OVER_ALL_ACCOUNTS =
  /^(?:events_|output_lengths_|usage_classes|usage_close_|usage_.*leaders|usage_reprice|forget_)/;

/** The statements of a function, without comments. */
function statementsOf(text: string): string[] {
  const body = text.replace(/--.*$/gm, '');
  return body.slice(body.indexOf('$$')).split(';');
}

describe('every statement of a movement', () => {
  const functions = sqlFunctions().filter(({ name }) => !OVER_ALL_ACCOUNTS.test(name));

  it.each(functions)('names the account whose rows it touches: $name', ({ text }) => {
    const lacking = statementsOf(text).filter(
      (statement) => NAMES_A_TABLE.test(statement) && !/\baccount_id\b/.test(statement),
    );
    expect(lacking).toEqual([]);
  });

  it('is looked at', () => {
    const looked = functions
      .flatMap(({ text }) => statementsOf(text))
      .filter((one) => NAMES_A_TABLE.test(one));
    expect(looked.length).toBeGreaterThan(60);
  });
});

describe('the balance', () => {
  it('is written by one function', () => {
    const writers = sqlFunctions().filter(({ text }) =>
      /UPDATE credit_balances\s+SET[^;]*\b(?:available|held)\s*=/.test(text),
    );
    expect(writers.map(({ name }) => name)).toEqual(['apply_balance']);
  });
});
