import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { forecast, type OpenLot } from './forecast.js';

const DAY = 86_400_000;
const NOW = Date.parse('2026-11-21T12:00:00Z');
/** Lots by what they hold and how many days they last. */
const lots = (...given: [credits: number, days: number][]): OpenLot[] =>
  given.map(([credits, days], index) => ({ id: index + 1, credits, expiresAt: NOW + days * DAY }));
const perDay = (credits: number, days = 1) => ({ credits: BigInt(credits), milliseconds: days * DAY });
const daysFromNow = (at: number | null) => (at === null ? null : (at - NOW) / DAY);

describe('forecast', () => {
  it.each<[string, OpenLot[], ReturnType<typeof perDay>, number | null, number[]]>([
    ['no credits and no use', [], perDay(0), null, []],
    ['no credits left: it has run out now', [], perDay(10), 0, []],
    ['no use: never, and everything expires', lots([100, 10], [50, 20]), perDay(0), null, [100, 50]],
    ['one lot that lasts', lots([100, 30]), perDay(10), 10, [0]],
    ['one lot that expires first: then nothing is left', lots([100, 5]), perDay(10), 5, [50]],
    ['a lot that is used up at the instant it expires', lots([100, 10]), perDay(10), 10, [0]],
    ['two lots, one after the other', lots([100, 20], [100, 30]), perDay(10), 20, [0, 0]],
    ['the second begins when the first has expired', lots([100, 5], [100, 30]), perDay(10), 15, [50, 0]],
    ['both expire in part', lots([100, 5], [100, 9]), perDay(10), 9, [50, 60]],
    ['two lots with one expiry', lots([100, 5], [100, 5]), perDay(10), 5, [50, 100]],
    ['less than a credit a day is use', lots([3, 100]), perDay(1, 10), 30, [0]],
    ['a rate over many days', lots([100, 365]), perDay(70, 14), 20, [0]],
  ])('%s', (_, open, rate, runsOutInDays, unused) => {
    const found = forecast(open, rate, NOW);
    expect(daysFromNow(found.runsOutAt)).toBe(runsOutInDays);
    expect(found.expirations.map(({ unusedCredits }) => unusedCredits)).toEqual(unused);
    expect(found.expiringUnusedCredits).toBe(unused.reduce((sum, each) => sum + each, 0));
    expect(found.expirations.map(({ id }) => id)).toEqual(open.map(({ id }) => id));
  });

  it('reports the rate with three decimals', () => {
    expect(forecast([], perDay(10, 3), NOW).creditsPerDay).toBe(3.333);
    expect(forecast([], perDay(0), NOW).creditsPerDay).toBe(0);
  });

  it('is exact where a floating-point number would not be', () => {
    const most = 9_000_000_000_000_000;
    const found = forecast(
      lots([most, 3650]),
      { credits: 9_000_000_000_000_001n, milliseconds: 3650 * DAY },
      NOW,
    );
    expect(found.expiringUnusedCredits).toBe(0);
    const one = forecast(
      lots([most, 3650]),
      { credits: 8_999_999_999_999_999n, milliseconds: 3650 * DAY },
      NOW,
    );
    expect(one.expiringUnusedCredits).toBe(1);
  });

  it('never loses a credit, never promises more than is there, and ends no later than the last lot', () => {
    const lot = fc.tuple(
      fc.integer({ min: 1, max: 1_000_000_000_000 }),
      fc.integer({ min: 1, max: 3650 * DAY }),
    );
    fc.assert(
      fc.property(
        fc.array(lot, { maxLength: 20 }),
        fc.bigInt({ min: 0n, max: 10n ** 15n }),
        fc.integer({ min: DAY, max: 91 * DAY }),
        (given, credits, milliseconds) => {
          const open = given
            .map(([amount, lasts], id) => ({ id, credits: amount, expiresAt: NOW + lasts }))
            .sort((a, b) => a.expiresAt - b.expiresAt);
          const found = forecast(open, { credits, milliseconds }, NOW);
          const lastExpiry = open.at(-1)?.expiresAt ?? NOW;
          const available = open.reduce((sum, { credits: amount }) => sum + amount, 0);
          const used = available - found.expiringUnusedCredits;
          expect(Number.isFinite(found.creditsPerDay)).toBe(true);
          for (const { credits: amount, unusedCredits } of found.expirations) {
            expect(Number.isSafeInteger(unusedCredits)).toBe(true);
            expect(unusedCredits).toBeGreaterThanOrEqual(0);
            expect(unusedCredits).toBeLessThanOrEqual(amount);
          }
          if (found.runsOutAt === null) {
            expect([credits, used]).toEqual([0n, 0]);
            return;
          }
          expect(found.runsOutAt).toBeGreaterThanOrEqual(NOW);
          // Each lot's end is rounded up to a millisecond.
          expect(found.runsOutAt).toBeLessThanOrEqual(lastExpiry + open.length);
          const spendable = (credits * BigInt(found.runsOutAt - NOW)) / BigInt(milliseconds);
          expect(BigInt(used)).toBeLessThanOrEqual(spendable);
        },
      ),
    );
  });
});
