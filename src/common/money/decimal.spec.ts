import { describe, expect, it } from 'vitest';
import { Decimal, greatest } from './decimal.js';

describe('a decimal', () => {
  it.each([
    ['0', '0'],
    ['-0', '0'],
    ['0.000', '0'],
    ['0e-30', '0'],
    ['3', '3'],
    ['3.00', '3'],
    ['300', '300'],
    ['1.5e-07', '0.00000015'],
    ['1.5E-7', '0.00000015'],
    ['2e3', '2000'],
    ['2.5e+1', '25'],
    ['2.55e1', '25.5'],
    ['3.0001999999999996e-07', '0.00000030001999999999996'],
    ['0.00000000000000000000001', '0.00000000000000000000001'],
    ['-0.25', '-0.25'],
    ['9007199254740993.1', '9007199254740993.1'],
  ])('%s is %s', (text, plain) => {
    expect(Decimal.of(text).toString()).toBe(plain);
  });

  it.each([
    '',
    'a',
    '.5',
    '1.',
    '1e',
    '+1',
    ' 1',
    '0x1',
    'NaN',
    '1e61',
    '1e-61',
    '1e999999999',
    '1'.repeat(61),
  ])('is not read from %j', (text) => {
    expect(Decimal.parse(text)).toBeUndefined();
    expect(() => Decimal.of(text)).toThrow(RangeError);
  });

  it('is multiplied without losing a digit', () => {
    const price = Decimal.of('3.0001999999999996e-07').times(Decimal.of(1000)).times(Decimal.of('1.234567'));
    expect(price.toString()).toBe('0.00037039479133999995061732');
  });

  it('is compared by value, whatever its form', () => {
    expect(Decimal.of('1e-3').compare(Decimal.of('0.0010'))).toBe(0);
    expect(Decimal.of('0.0010000000000000000000001').compare(Decimal.of('0.001'))).toBe(1);
    expect(Decimal.of('-1').compare(Decimal.of('0'))).toBe(-1);
    expect(greatest([Decimal.of('2'), Decimal.of('1e1'), Decimal.of('9.9')])?.toString()).toBe('10');
    expect(greatest([])).toBeUndefined();
  });
});
