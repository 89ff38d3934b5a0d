import { describe, expect, it } from 'vitest';
import { relative } from './format';

describe('a time in words', () => {
  const now = new Date(2026, 10, 21, 15, 54).getTime();
  const at = (day: number, hour = 0) => relative(new Date(2026, 10, day, hour).getTime(), now);

  it('names the day of the calendar, and not how many times 24 hours it takes', () => {
    expect(at(23)).toBe('in 2 days');
    expect(at(22, 18)).toBe('tomorrow');
    expect(at(20, 9)).toBe('yesterday');
    expect(at(19, 22)).toBe('2 days ago');
  });

  it('counts hours, minutes and seconds below a day', () => {
    expect(at(22, 1)).toBe('in 9 hours');
    expect(relative(now - 61_000, now)).toBe('1 minute ago');
    expect(relative(now - 1000, now)).toBe('now');
  });
});
