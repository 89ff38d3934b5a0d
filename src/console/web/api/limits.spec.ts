import { describe, expect, it } from 'vitest';
import { amountInWords, bySmallestRoom, limitInWords, mostCredits, scopeInWords } from './limits';
import { problemOf } from './problem';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const LIMIT = {
  scope: 'unit',
  scopeId: '3',
  unit: 'credits',
  window: 'month',
  limit: 1000,
  used: 990,
  held: 8,
  resetsAt: '2026-11-22T15:00:00Z',
};
const room = (scope: string, left: number | null, more = {}) => ({
  scope,
  scopeId: null,
  unit: 'credits',
  mode: 'hard',
  left,
  ...more,
});

describe('a limit in words', () => {
  it('names what it is for, what is used and held of it, and when it resets', () => {
    expect(limitInWords(LIMIT, new Map([['unit 3', 'Research']]), NOW)).toBe(
      'unit Research: 990 used and 8 held of 1,000 credits per month; resets in 3 hours',
    );
    expect(limitInWords({ ...LIMIT, resetsAt: '2026-11-22T11:00:00Z' }, undefined, NOW)).toMatch(
      /^unit #3: .* per month; has reset 1 hour ago$/,
    );
    const sessions = {
      ...LIMIT,
      unit: 'sessions',
      window: 'lifetime',
      limit: 2,
      used: 0,
      held: 2,
      resetsAt: null,
    };
    expect(limitInWords(sessions)).toBe('unit #3: 2 open of 2 sessions at once');
  });

  it('has a text for every scope and window', () => {
    const words = (scope: string, scopeId: string | null, userId?: string) =>
      scopeInWords({ scope, scopeId, ...(userId && { userId }) });
    expect([
      words('account', null),
      words('each_member', null),
      words('each_member', null, 'bob'),
      words('member', 'bob'),
      words('key', '7'),
      words('model', 'gpt-4o*'),
      words('tag', 'feature=search'),
    ]).toEqual([
      'whole account',
      'each member',
      'each member (bob)',
      'member bob',
      'API key #7',
      'model gpt-4o*',
      'tag feature=search',
    ]);
    expect(amountInWords(1, 'requests', 'lifetime')).toBe('1 request in all');
    expect(amountInWords(60, 'requests', 'minute')).toBe('60 requests per minute');
  });

  it('comes with the refusal of the API that it caused', () => {
    const { message, limits } = problemOf(402, {
      code: 'budget.exceeded',
      detail: 'unit 3 …',
      limits: [LIMIT],
    });
    expect(message).toBe('A budget does not cover the call.');
    expect(limits).toEqual([LIMIT]);
    expect(problemOf(503, null).limits).toEqual([]);
  });
});

describe('what a member may spend', () => {
  const budgets = [
    room('account', 500),
    room('model', 1),
    room('member', 40, { mode: 'soft' }),
    room('unit', 90),
    room('each_member', 5, { unit: 'requests' }),
  ];

  it('is listed with the smallest first: credits before other units, and soft budgets last', () => {
    expect(bySmallestRoom(budgets).map(({ scope }) => scope)).toEqual([
      'model',
      'unit',
      'account',
      'each_member',
      'member',
    ]);
  });

  it('is the least of the balance and the hard budgets that every call counts for', () => {
    expect(mostCredits(1000, budgets)).toMatchObject({ credits: 90, by: { scope: 'unit' } });
    expect(mostCredits(50, budgets)).toEqual({ credits: 50, by: null });
    expect(mostCredits(50, [])).toEqual({ credits: 50, by: null });
  });
});
