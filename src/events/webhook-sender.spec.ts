import { describe, expect, it } from 'vitest';
import { retryAfterSeconds } from './webhook-sender.js';

describe('the pause that a receiver asks for', () => {
  it.each([
    [undefined, 0],
    ['', 0],
    ['0', 0],
    ['-0', 0],
    ['-5', 0],
    ['-1e300', 0],
    ['1', 1],
    ['0.5', 1],
    ['600', 600],
    ['3600', 3600],
    ['3601', 3600],
    ['1e300', 3600],
    ['9'.repeat(1000), 3600],
    ['Infinity', 3600],
    ['NaN', 0],
    ['soon', 0],
    ['5 minutes', 0],
    ['1,2', 0],
  ])('%s is %i seconds, never more than an hour', (asked, seconds) => {
    expect(retryAfterSeconds(asked === undefined ? {} : { 'retry-after': asked })).toBe(seconds);
  });

  it.each([
    ['Sun, 22 Nov 2026 12:10:00 GMT', 600],
    ['Sun, 22 Nov 2026 11:00:00 GMT', 0],
    ['Sun, 22 Nov 2026 23:00:00 GMT', 3600],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 3600],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ])('until %s goes by the clock of the receiver', (asked, seconds) => {
    expect(retryAfterSeconds({ 'retry-after': asked, date: 'Sun, 22 Nov 2026 12:00:00 GMT' })).toBe(seconds);
  });

  it('until a date goes by our clock where the answer has no date', () => {
    const asked = new Date(Date.now() + 600_000).toUTCString();
    for (const date of [undefined, 'nonsense'])
      expect(
        retryAfterSeconds({ 'retry-after': asked, ...(date === undefined ? {} : { date }) }),
      ).toBeGreaterThan(500);
  });
});
