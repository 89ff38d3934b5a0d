import { describe, expect, it } from 'vitest';
import { makeMonth } from './month.js';
import { CAST, DAY } from './people.js';

const NOW = Date.parse('2026-11-20T15:00:00Z');
const month = makeMonth({ seed: 7, users: 120, now: NOW });

describe('a month of the demo', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(makeMonth({ seed: 7, users: 120, now: NOW })).toEqual(month);
    expect(makeMonth({ seed: 8, users: 120, now: NOW }).calls).not.toEqual(month.calls);
  });

  it('has as many users as were asked for, each once', () => {
    expect(new Set(month.people.map(({ userId }) => userId)).size).toBe(120);
    expect(new Set(month.people.map(({ email }) => email)).size).toBe(120);
  });

  it('goes forward in time and ends before now', () => {
    const times = month.calls.map(({ at }) => at);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times.at(-1)).toBeLessThan(NOW);
    expect(times[0]).toBeGreaterThan(NOW - 40 * DAY);
  });

  it('names no user who has not come yet', () => {
    const came = new Map(
      month.people.map(({ userId, joinedDaysAgo }) => [userId, NOW - joinedDaysAgo * DAY - DAY / 12]),
    );
    for (const { at, operation, request } of month.calls) {
      const userId = (request.actorId ?? request.userId) as string | undefined;
      // Members are added before they come.
      if (operation === 'member_add' || (userId === undefined && request.accountId.startsWith('org:')))
        continue;
      expect(
        came.get(userId ?? request.accountId),
        `${operation} at ${new Date(at).toISOString()}`,
      ).toBeLessThanOrEqual(at);
    }
  });

  it('is busier on working days, and grows', () => {
    const sessions = month.calls.filter(({ operation }) => operation === 'session_hold');
    const on = (from: number, until: number) =>
      sessions.filter(
        ({ at }) => at >= Date.parse('2026-11-20T00:00:00Z') - from * DAY && at < NOW - until * DAY,
      ).length;
    const ofWeekday = (days: number[]) =>
      sessions.filter(({ at }) => days.includes(new Date(at).getUTCDay())).length;
    expect(ofWeekday([2, 3])).toBeGreaterThan(3 * ofWeekday([0, 6]));
    expect(on(7, 0)).toBeGreaterThan(on(35, 28));
  });

  it('has prices that changed, one announced, and periods that do not overlap', () => {
    const byModel = new Map(
      month.rules.map(({ modelId }) => [modelId, month.rules.filter((rule) => rule.modelId === modelId)]),
    );
    expect(byModel.size).toBe(12);
    for (const rules of byModel.values()) {
      for (const [index, rule] of rules.entries()) expect(rule.to).toBe(rules[index + 1]?.from ?? null);
    }
    expect(month.rules.filter(({ to }) => to !== null && to < NOW)).toHaveLength(3);
    expect(month.rules.filter(({ from }) => from > NOW)).toHaveLength(1);
  });

  it('uses a key only while it works', () => {
    const keys = new Map(month.keys.map((key) => [key.id, key]));
    const byKey = month.calls.filter(
      ({ operation }) => operation === 'session_hold' || operation === 'usage_charge',
    );
    let used = 0;
    for (const { at, request } of byKey) {
      const id = request.apiKeyId as number | null;
      if (id === null) continue;
      used++;
      const key = keys.get(id);
      expect(key?.userId).toBe(request.accountId);
      expect(key?.createdAt).toBeLessThan(at);
      expect(at).toBeLessThan(Math.min(key?.expiresAt ?? Infinity, key?.revokedAt ?? Infinity));
    }
    expect(used).toBeGreaterThan(50);
  });

  it('has three organisations with units, members, budgets and use, each member once', () => {
    expect(month.organisations.map(({ name }) => name)).toEqual(['Northwind', 'Brightline', 'Fennel Labs']);
    for (const { id, members, units } of month.organisations) {
      expect(new Set(members.map(({ userId }) => userId)).size).toBe(6);
      const operations = month.calls.filter(({ request }) => request.accountId === id);
      const count = (name: string) => operations.filter(({ operation }) => operation === name).length;
      expect([count('unit_create'), count('member_add')]).toEqual([units.length, 6]);
      expect(count('budget_create')).toBeGreaterThan(1);
      expect(count('usage_charge')).toBeGreaterThan(50);
      expect(count('session_hold')).toBe(count('session_settle'));
    }
  });

  it('gives the named user a key in every state', () => {
    const own = month.keys.filter(({ userId }) => userId === CAST.user.userId);
    expect(own.some(({ revokedAt }) => revokedAt !== null)).toBe(true);
    expect(own.some(({ expiresAt }) => expiresAt !== null && expiresAt < NOW)).toBe(true);
    expect(own.some(({ expiresAt }) => expiresAt !== null && expiresAt > NOW)).toBe(true);
    expect(own.some(({ creditLimit }) => creditLimit !== null)).toBe(true);
    expect(own.some(({ budgetKeyId }) => budgetKeyId !== null)).toBe(true);
  });
});
