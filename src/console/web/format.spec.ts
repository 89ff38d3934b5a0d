import { describe, expect, it } from 'vitest';
import { percent, relative, usd, usdOfCall, shifted } from './format';

describe('a time in words', () => {
  const now = new Date(2026, 10, 21, 15, 54).getTime();
  const at = (day: number, hour = 0) => relative(new Date(2026, 10, day, hour).getTime(), now);

  it('counts calendar days, not periods of 24 hours', () => {
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

describe('an amount of money', () => {
  it('has two decimals on cards and four for a call, whatever its size', () => {
    expect(['0', '0.007479', '0.0149', '2051.2'].map((value) => usd(value))).toEqual([
      '$0.00',
      '$0.01',
      '$0.01',
      '$2,051.20',
    ]);
    expect(['0', '0.007479', '0.02', '12'].map(usdOfCall)).toEqual([
      '$0.0000',
      '$0.0075',
      '$0.0200',
      '$12.0000',
    ]);
  });

  it('never looks like zero when it is not', () => {
    expect(usd('0.0049')).toBe('<$0.01');
    expect(usdOfCall('0.00000013')).toBe('<$0.0001');
    expect(usd('-0.001')).toBe('−<$0.01');
  });

  it('has a minus sign when it is a loss, and is unknown when it is null', () => {
    expect(usd('-0.78')).toBe('−$0.78');
    expect(percent(-0.78, 1.28)).toBe('−60.9 %');
    expect(usd(null)).toBe('unknown');
  });
});

describe('a price per another number of tokens', () => {
  it.each([
    ['0.0025', 3, '2.5'],
    ['2.5', -3, '0.0025'],
    ['15', 3, '15000'],
    ['15000', -3, '15'],
    ['0', 3, '0'],
    ['0.000000000000000001', 3, '0.000000000000001'],
    ['0.000000000000001', -3, '0.000000000000000001'],
    ['1234567.125', 3, '1234567125'],
    ['0.5', -3, '0.0005'],
    ['7', 0, '7'],
  ])('%s moved by %i places is exactly %s', (value, places, moved) =>
    expect(shifted(value, places)).toBe(moved),
  );
});
