import { expect, it } from 'vitest';
import { isFinalRefusal, isOutage, isUnavailable, markRefusal } from './database-errors.js';
import { ServiceUnavailable } from './service-error.js';

const refusal = (code: string) => {
  const error = Object.assign(new Error('refused'), { code });
  markRefusal(error);
  return error;
};

it.each<[string, unknown, { unavailable: boolean; outage: boolean; final: boolean }]>([
  ['a full queue or pool', new ServiceUnavailable(), { unavailable: true, outage: true, final: false }],
  ['a lock that is taken', refusal('55P03'), { unavailable: true, outage: true, final: false }],
  ['a statement that took too long', refusal('57014'), { unavailable: true, outage: false, final: false }],
  ['a plan that is stale', refusal('26000'), { unavailable: false, outage: false, final: false }],
  ['a number that is too large', refusal('22003'), { unavailable: false, outage: false, final: true }],
  ['a fault of the service', new TypeError('x'), { unavailable: false, outage: false, final: false }],
])('%s', (_, error, { unavailable, outage, final }) => {
  expect([isUnavailable(error), isOutage(error), isFinalRefusal(error)]).toEqual([
    unavailable,
    outage,
    final,
  ]);
});
