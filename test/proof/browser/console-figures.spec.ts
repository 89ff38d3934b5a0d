import { readFile } from 'node:fs/promises';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../../src/streaming-sessions/streaming-sessions.sweeper.js';
import {
  type ConsoleService,
  keepScreenshot,
  launchBrowser,
  signIn,
  startConsole,
  visit,
} from '../../support/console.js';
import { seedConsole } from '../../support/console-data.js';
import { parseCsv } from '../../support/csv.js';
import { endLeases } from '../../support/money.js';

/**
 * Every figure of the overview, read from the page and added up again from the tables of records, lots and sessions: not
 * from the roll-ups that the service reads. docs/figures.md defines them.
 */

let service: ConsoleService;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  service = await startConsole();
  await seedConsole(service.direct);
  await useInEveryWay();
  browser = await launchBrowser();
  ({ page } = await visit(browser, service.url));
  await signIn(page, 'admin');
  await page.getByRole('region', { name: 'Usage by model' }).waitFor();
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await service.close();
});

/** Chats of every outcome, other services, and calls that are paid, unpaid, paid in part, waived and settled elsewhere. */
async function useInEveryWay(): Promise<void> {
  const admin = service.direct.as('admin', { role: 'admin' });
  const [frank, carol] = [service.direct.as('frank'), service.direct.as('carol')];
  await admin.post('/api/pricing', {
    modelId: 'costly',
    pricePerThousandTokens: '1',
    providerCostPerThousandTokens: '2',
  });
  const session = async (sessionId: string, modelId = 'gpt-4o') => {
    await frank.post('/api/streaming-sessions/initialize', { sessionId, modelId, estimatedTokens: 2000 });
    await frank.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 700 });
  };
  await session('fails');
  await frank.post('/api/streaming-sessions/finalize', {
    sessionId: 'fails',
    actualTokens: 900,
    success: false,
  });
  await session('is aborted');
  await frank.post('/api/streaming-sessions/abort', { sessionId: 'is aborted', tokensGenerated: 800 });
  await session('times out');
  await endLeases(service.direct, frank);
  await service.direct.get(StreamingSessionsSweeper).sweep();
  await session('of unknown cost', 'no price of its own');
  await frank.post('/api/streaming-sessions/finalize', { sessionId: 'of unknown cost', actualTokens: 1900 });
  await frank.post('/api/usage/charge', { requestId: 'loss', modelId: 'costly', tokens: 4000 });
  const charge = { service: 'embedding', modelId: 'claude-sonnet-4', tokens: 3000 };
  await frank.post('/api/usage/charge', { ...charge, requestId: 'other service' });
  await frank.post('/api/usage/record', { service: 'images', operation: 'render', credits: 31 });
  for (const requestId of ['waits', 'is waived', 'is billed']) {
    const { body } = await carol.post<{ record: { id: number; version: number } }>('/api/usage/charge', {
      ...charge,
      requestId,
      service: 'chat',
      onInsufficient: 'review',
      billingStatus: 'needs_review',
    });
    const { id, version } = body.record;
    const decide = (decision: object) =>
      admin.post(`/api/usage/records/${id}/review`, { version, ...decision });
    if (requestId === 'is waived') await decide({ action: 'waive' });
    if (requestId === 'is billed') await decide({ action: 'bill', credits: 1 });
  }
}

interface Sums {
  credits: number;
  records: number;
  collected: number;
  uncollected: number;
  recorded: number;
  costed: number;
  income: string;
  costedIncome: string | null;
  cost: string | null;
  margin: string | null;
}

const IS_CHAT = `(service = 'chat' OR service ~ '^chat-streaming(-(failed|aborted|timeout))?$')`;
const COLLECTED = `CASE billing_status WHEN 'recorded' THEN 0 ELSE credits - uncollected_credits END`;
const sumsBy = async (key: string, where = 'TRUE') =>
  (
    await service.direct.owner.query<Sums & { key: string }>(
      `SELECT ${key} AS key, sum(credits)::integer AS credits, count(*)::integer AS records,
              sum(${COLLECTED})::integer AS collected,
              coalesce(sum(uncollected_credits) FILTER (WHERE billing_status <> 'recorded'), 0)::integer AS uncollected,
              coalesce(sum(credits) FILTER (WHERE billing_status = 'recorded'), 0)::integer AS recorded,
              count(provider_cost_usd)::integer AS costed, sum(${COLLECTED}) / 1000 AS income,
              sum(${COLLECTED}) FILTER (WHERE provider_cost_usd IS NOT NULL) / 1000 AS "costedIncome",
              sum(provider_cost_usd) AS cost,
              sum(${COLLECTED}) FILTER (WHERE provider_cost_usd IS NOT NULL) / 1000 - sum(provider_cost_usd) AS margin
         FROM usage_records
        WHERE timestamp >= date_trunc('day', now(), 'UTC') - interval '29 days' AND ${where} GROUP BY 1`,
    )
  ).rows;

const whole = (value: number) => value.toLocaleString('en-US');
const plural = (count: number, one: string) => `${whole(count)} ${count === 1 ? one : `${one}s`}`;
function usd(value: string | number | null): string {
  if (value === null) return '–';
  const size = Math.abs(Number(value)).toLocaleString('en-US', { style: 'currency', currency: 'USD' });
  return `${Number(value) < 0 ? '−' : ''}${Number(value) !== 0 && size === '$0.00' ? '<$0.01' : size}`;
}
const percent = (part: string, of: string) =>
  `${((Number(part) / Number(of)) * 100).toFixed(1).replace('-', '−')} %`;

/** The text of each cell, without that of the buttons that explain the columns. */
const cellsOf = (row: Locator) =>
  row.locator('th, td').evaluateAll((cells) =>
    cells.map((cell) => {
      const copy = cell.cloneNode(true) as HTMLElement;
      for (const extra of copy.querySelectorAll('.explanation, meter')) extra.remove();
      return copy.innerText.replace(/\s+/g, ' ').trim();
    }),
  );
async function rowsOf(table: Locator): Promise<string[][]> {
  return Promise.all((await table.getByRole('row').all()).map(cellsOf));
}

async function cards(): Promise<Record<string, [value: string, note: string]>> {
  await expect.poll(() => page.locator('.stat .skeleton').count()).toBe(0);
  const texts = await page
    .locator('.stat')
    .evaluateAll((all) =>
      all.map((card) =>
        ['label', 'value', 'note'].map((part) => card.querySelector(`.stat-${part}`)?.textContent),
      ),
    );
  return Object.fromEntries(texts.map(([label, value, note]) => [label, [value, note]])) as Record<
    string,
    [value: string, note: string]
  >;
}

it('cards: what was used, its parts, and income, cost and margin of the same calls', async () => {
  const [all] = (await sumsBy(`'all'`)) as [Sums & { key: string }];
  // Each part is there, or the test would compare nothing.
  expect([all.collected, all.uncollected, all.recorded].every((credits) => credits > 0)).toBe(true);
  expect(all.costed).toBeLessThan(all.records);
  const { rows } = await service.direct.owner.query<Record<string, number>>(
    `SELECT (SELECT sum(remaining_credits) FROM credit_allocations WHERE expires_at > now())::integer AS available,
            (SELECT sum(allocated_credits) FROM streaming_sessions WHERE status = 'active')::integer AS held,
            (SELECT count(*) FROM streaming_sessions WHERE status = 'active')::integer AS sessions,
            (SELECT count(*) FROM credit_balances)::integer AS users,
            (SELECT count(*) FROM usage_records WHERE billing_status = 'needs_review')::integer AS waiting,
            (SELECT sum(uncollected_credits) FROM usage_records WHERE billing_status = 'needs_review')::integer AS open`,
  );
  const now = rows[0] as Record<string, number>;
  const shown = await cards();
  expect(shown['Credits used']?.[1]).toMatch(new RegExp(`^${plural(all.records, 'call')} · `));
  expect({ ...shown, 'Credits used': shown['Credits used']?.[0] }).toEqual({
    'Credits used': whole(all.credits),
    Collected: [whole(all.collected), `${usd(all.income)} of income`],
    Uncollected: [whole(all.uncollected), 'not covered by a balance'],
    'Only recorded': [whole(all.recorded), 'settled elsewhere'],
    'Income at known cost': [usd(all.costedIncome), `of ${plural(all.costed, 'call')}`],
    'Provider cost': [usd(all.cost), 'of the same calls'],
    Margin: [usd(all.margin), `${percent(all.margin as string, all.costedIncome as string)} of that income`],
    'Income at unknown cost': [
      usd(Number(all.income) - Number(all.costedIncome)),
      `of ${plural(all.records - all.costed, 'call')}, in no margin`,
    ],
    Available: [whole(now.available as number), `credits across ${plural(now.users as number, 'user')}`],
    Held: [whole(now.held as number), 'by active sessions'],
    'Active sessions': [whole(now.sessions as number), 'now'],
    'To review': [whole(now.waiting as number), `${plural(now.open as number, 'credit')} uncollected`],
  });
  const sum = Number(all.collected) + all.uncollected + all.recorded;
  expect(sum).toBe(all.credits);
  await keepScreenshot(page, 'figures');
});

it('each card and column is explained by the sentence that docs/figures.md defines it with', async () => {
  const text = await readFile(new URL('../../../docs/figures.md', import.meta.url), 'utf8');
  const buttons = await page.locator('.explain, .explained').all();
  expect(buttons.length).toBeGreaterThan(14);
  for (const button of buttons) {
    const id = (await button.getAttribute('aria-describedby')) as string;
    const figure = await page.locator(`#${id}`).getAttribute('data-figure');
    const meaning = (await button.getAttribute('title')) as string;
    expect(text.replaceAll('\n', ' ')).toContain(`### ${figure}  ${meaning}  `);
  }
  const meaning = page.getByText(/^What the calls of the period cost/).first();
  await buttons[0]?.click();
  await meaning.waitFor({ state: 'visible' });
  await page.keyboard.press('Escape');
  await meaning.waitFor({ state: 'hidden' });
});

it('the legend and the table of models: each model has one number, and all add up to the credits used', async () => {
  const models = await sumsBy('operation', IS_CHAT);
  const operations = await sumsBy('operation', `NOT ${IS_CHAT}`);
  const bySize = (a: Sums, b: Sums) => b.credits - a.credits;
  const [total] = (await sumsBy(`'Total'`)) as [Sums & { key: string }];
  const row = (name: string, { credits, records, income, costedIncome, cost, margin }: Sums) => {
    const unknown = Number(income) - Number(costedIncome ?? 0);
    return [
      name,
      whole(credits),
      whole(records),
      unknown > 0 ? `${usd(costedIncome)} +${usd(unknown)} unknown` : usd(costedIncome),
      usd(cost),
      margin === null
        ? 'unknown'
        : `${usd(margin)} ${Number(costedIncome) === 0 ? '–' : percent(margin, costedIncome as string)}`,
    ];
  };
  const table = await rowsOf(page.getByRole('region', { name: 'Usage by model' }));
  expect(table[0]).toEqual(['Model', 'Credits', 'Calls', 'Income', 'Cost', 'Margin']);
  expect(new Set(table.slice(1, -1))).toEqual(
    new Set([
      ...models.toSorted(bySize).map((sums) => row(sums.key, sums)),
      ...operations.toSorted(bySize).map((sums) => row(`${sums.key} other service`, sums)),
    ]),
  );
  expect(table.at(-1)).toEqual(row('Total', total));

  const chart = page.locator('figure').filter({ has: page.getByText('Other services') });
  const legend = await chart
    .locator('.legend li')
    .evaluateAll((items) =>
      items.map((item) =>
        [item.querySelector('.clip'), item.querySelector('.number')].map((part) => part?.textContent),
      ),
    );
  const other = operations.reduce((sum, { credits }) => sum + credits, 0);
  const named = models
    .toSorted(bySize)
    .slice(0, 7)
    .filter(({ credits }) => credits > 0);
  expect(Object.fromEntries(legend)).toEqual({
    ...Object.fromEntries(named.map(({ key, credits }) => [key, whole(credits)])),
    'Other services': whole(other),
  });

  const byDay = await sumsBy(`to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD')`);
  await chart.getByRole('button', { name: 'Table' }).click();
  const days = (await rowsOf(page.getByRole('region', { name: 'Credits by day and model' }))).slice(1);
  expect(days.map(([, credits]) => credits).filter((credits) => credits !== '0')).toEqual(
    byDay.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(({ credits }) => whole(credits)),
  );
  const money = page.locator('figure').filter({ has: page.getByText('Provider cost') });
  await money.getByRole('button', { name: 'Table' }).click();
  const amounts = (await rowsOf(page.getByRole('region', { name: /^Income and provider cost/ }))).slice(1);
  const spent = amounts.filter(([, income, cost]) => income !== '$0.00' || cost !== '$0.00');
  expect(spent.map((cells) => cells.slice(1))).toEqual(
    byDay
      .filter(({ costed }) => costed > 0)
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ costedIncome, cost }) => [usd(costedIncome), usd(cost)]),
  );
});

it('top users and what needs attention', async () => {
  const users = await sumsBy('account_id');
  const card = (title: string) =>
    page.locator('.card').filter({ has: page.getByRole('heading', { name: title }) });
  const ranking = await card('Top users').getByRole('listitem').allInnerTexts();
  expect(ranking.map((line) => line.split(/\s+/))).toEqual(
    users
      .toSorted((a, b) => b.credits - a.credits)
      .slice(0, 8)
      .map(({ key, credits }) => [key, whole(credits)]),
  );
  const lines = (await card('Needs attention').getByRole('listitem').allInnerTexts()).map((line) =>
    line.replace(/\s+/g, ' '),
  );
  for (const { key, margin } of await sumsBy('operation', `${IS_CHAT} AND provider_cost_usd IS NOT NULL`))
    if (Number(margin) < 0) expect(lines).toContain(`${key} loses ${usd(-Number(margin))}`);
  for (const { key, records } of await sumsBy('operation', `pricing_source = 'fallback'`))
    expect(lines).toContain(`${key} no price, ${plural(records, 'call')} Alias`);
  expect(lines.filter((line) => line.includes('loses'))).not.toEqual([]);
  expect(lines.filter((line) => line.includes('no price'))).not.toEqual([]);
});

it('the usage page and its CSV say the same', async () => {
  const [all] = (await sumsBy(`'all'`)) as [Sums & { key: string }];
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Usage' }).click();
  await page.getByRole('heading', { level: 1, name: 'Usage' }).waitFor();
  const shown = await cards();
  expect(shown['Credits used']).toEqual([
    whole(all.credits),
    `${whole(all.collected)} collected · ${whole(all.uncollected)} uncollected · ${whole(all.recorded)} only recorded`,
  ]);
  expect(shown.Calls?.[0]).toBe(whole(all.records));
  expect(shown['Per day']?.[0]).toBe(whole(Math.round(all.credits / 30)));
  expect(shown.Models?.[0]).toBe(whole((await sumsBy('operation', IS_CHAT)).length));
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'CSV' }).click();
  const [header, ...lines] = parseCsv(await readFile(await (await saved).path(), 'utf8')) as [
    string[],
    ...string[][],
  ];
  const records = lines.map(
    (cells) =>
      Object.fromEntries(cells.map((cell, index) => [header[index], cell])) as Record<string, string>,
  );
  const sum = (of: (record: Record<string, string>) => number) =>
    records.reduce((total, record) => total + of(record), 0);
  expect(records).toHaveLength(all.records);
  expect(sum(({ credits }) => Number(credits))).toBe(all.credits);
  expect(
    sum(({ billingStatus, credits, uncollectedCredits }) =>
      billingStatus === 'recorded' ? 0 : Number(credits) - Number(uncollectedCredits),
    ),
  ).toBe(all.collected);
});
