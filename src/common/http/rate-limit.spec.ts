import { expect, it } from 'vitest';
import { networkOf } from './rate-limit.js';

it.each([
  ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
  ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
  ['::ffff:192.0.2.1', '192.0.2.1', true],
  ['192.0.2.1', '192.0.2.2', false],
  ['fe80::1%eth0', 'fe80::2%eth0', true],
  ['', 'no address', false],
])('the addresses %j and %j count as one: %s', (one, other, areOne) => {
  expect(networkOf(one) === networkOf(other)).toBe(areOne);
});
