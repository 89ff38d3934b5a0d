// @module-tag cluster
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

async function periodOf(window: string, zone: string, anchor: number, at: string): Promise<string[]> {
  const { rows } = await service.owner.query<{ starts_at: Date; ends_at: Date }>(
    'SELECT * FROM budget_period($1, $2, $3, $4)',
    [window, zone, anchor, at],
  );
  return rows.flatMap(({ starts_at, ends_at }) =>
    [starts_at, ends_at].map((time) => time.toISOString().slice(0, 16)),
  );
}

describe('the period of a moment', () => {
  it.each([
    ['a minute', 'minute', 'Asia/Kolkata', 1, '2026-03-01T10:20:30Z', '2026-03-01T10:20', '2026-03-01T10:21'],
    ['an hour', 'hour', 'Asia/Kolkata', 1, '2026-03-01T10:20:30Z', '2026-03-01T10:00', '2026-03-01T11:00'],
    ['a day', 'day', 'UTC', 1, '2026-03-01T10:20:30Z', '2026-03-01T00:00', '2026-03-02T00:00'],
    [
      'midnight in its own zone',
      'day',
      'Europe/Berlin',
      1,
      '2026-06-30T22:00:00Z',
      '2026-06-30T22:00',
      '2026-07-01T22:00',
    ],
    [
      'just before',
      'day',
      'Europe/Berlin',
      1,
      '2026-06-30T21:59:59.999Z',
      '2026-06-29T22:00',
      '2026-06-30T22:00',
    ],
    [
      'a day of 23 hours',
      'day',
      'Europe/Berlin',
      1,
      '2026-03-29T12:00:00Z',
      '2026-03-28T23:00',
      '2026-03-29T22:00',
    ],
    [
      'a day of 25 hours',
      'day',
      'Europe/Berlin',
      1,
      '2026-10-25T12:00:00Z',
      '2026-10-24T22:00',
      '2026-10-25T23:00',
    ],
    [
      'a day that begins at one',
      'day',
      'Africa/Cairo',
      1,
      '2026-04-24T05:00:00Z',
      '2026-04-23T22:00',
      '2026-04-24T21:00',
    ],
    [
      'a week from Monday',
      'week',
      'America/New_York',
      1,
      '2026-03-08T12:00:00Z',
      '2026-03-02T05:00',
      '2026-03-09T04:00',
    ],
    ['a month', 'month', 'Europe/Berlin', 1, '2026-03-15T00:00:00Z', '2026-02-28T23:00', '2026-03-31T22:00'],
    ['31 January', 'month', 'UTC', 31, '2026-02-10T00:00:00Z', '2026-01-31T00:00', '2026-02-28T00:00'],
    ['28 February', 'month', 'UTC', 31, '2026-03-10T00:00:00Z', '2026-02-28T00:00', '2026-03-31T00:00'],
    ['29 February', 'month', 'UTC', 30, '2028-02-29T00:00:00Z', '2028-02-29T00:00', '2028-03-30T00:00'],
    [
      'before the anchor of January',
      'month',
      'UTC',
      15,
      '2026-01-14T23:59:59Z',
      '2025-12-15T00:00',
      '2026-01-15T00:00',
    ],
  ])('%s', async (_, window, zone, anchor, at, startsAt, endsAt) => {
    expect(await periodOf(window, zone, anchor, at)).toEqual([startsAt, endsAt]);
  });

  it.each([
    'America/Havana',
    'Africa/Cairo',
    'Asia/Beirut',
    'Australia/Lord_Howe',
    'America/Sao_Paulo',
    'Europe/Berlin',
  ])('every moment is in exactly one, which ends where the next begins: %s', async (zone) => {
    const { rows } = await service.owner.query<{ at: Date }>(
      `SELECT at FROM generate_series('2018-01-01Z'::timestamptz, '2019-12-31Z', interval '53 minutes') at
          CROSS JOIN LATERAL budget_period('day', $1, 1, at) d
          CROSS JOIN LATERAL budget_period('month', $1, 31, at) m
          CROSS JOIN LATERAL budget_period('day', $1, 1, d.ends_at) n
         WHERE NOT (at >= d.starts_at AND at < d.ends_at AND at >= m.starts_at AND at < m.ends_at
                    AND n.starts_at = d.ends_at)`,
      [zone],
    );
    expect(rows).toEqual([]);
  });
});
