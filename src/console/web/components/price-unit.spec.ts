import { describe, expect, it } from 'vitest';
import { shifted } from './price-unit';

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
