import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ConsoleService,
  keepScreenshot,
  launchBrowser,
  signIn,
  startConsole,
  visit,
} from '../../support/console.js';
import { parseCsv } from '../../support/csv.js';
import { freshUser } from '../../support/service.js';

const DAY = 86_400_000;
const MODELS = 9;

let service: ConsoleService;
let browser: Browser;
beforeAll(async () => {
  service = await startConsole();
  browser = await launchBrowser();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
afterAll(async () => {
  await browser.close();
  await service.close();
});

async function as(sub: string, role: string, path = ''): Promise<Page> {
  const { page } = await visit(browser, service.url, { path });
  await signIn(page, sub, role);
  return page;
}

const dialog = (page: Page) => page.getByRole('dialog');
const dayText = (daysAgo: number) => new Date(Date.now() - daysAgo * DAY).toISOString().slice(0, 10);

/** Nine models of which the last two are the smallest, and a service that is not a chat. */
async function useModels(userId: string): Promise<void> {
  const user = service.direct.as(userId);
  const record = (daysAgo: number, name: string, operation: string, credits: number) =>
    user.post('/api/usage/record', {
      ...{ service: name, operation, credits },
      timestamp: `${dayText(daysAgo)}T00:00:00Z`,
    });
  for (let model = 1; model <= MODELS; model++) await record(3, 'chat', `model-${model}`, 1000 - model * 100);
  await record(2, 'chat-streaming', 'model-1', 25);
  for (const outcome of ['failed', 'aborted', 'timeout'])
    await record(2, `chat-streaming-${outcome}`, 'model-1', 5);
  await record(2, 'embeddings', 'small', 7);
}

/** The rows of a chart's table, as texts. */
async function tableOf(chart: Locator): Promise<string[][]> {
  await chart.getByRole('button', { name: 'Table' }).click();
  return Promise.all(
    (await chart.getByRole('row').all()).map((row) => row.locator('th, td').allInnerTexts()),
  );
}

const COLUMNS = [
  ...['Day', 'Total', 'model-1', 'model-2', 'model-3', 'model-4', 'model-5', 'model-6', 'model-7'],
  ...['Other models', 'Other services'],
];

describe('credits by day and model', () => {
  it.each([
    ['a user sees their own', 'user'],
    ['an admin sees everyone’s', 'admin'],
  ])(
    '%s: the seven largest models, the others, and other services, which add up to the day',
    async (_, role) => {
      // A service of its own: an admin sees what all users have used.
      await service.direct.owner.query(
        'DELETE FROM usage_records; TRUNCATE usage_daily, usage_totals, usage_corrections',
      );
      const userId = freshUser();
      await useModels(userId);
      const page = await as(userId, role);
      const chart = page
        .getByRole('figure')
        .filter({ has: page.getByRole('img', { name: /^Credits by day and model/ }) });
      await chart.waitFor();
      const picture = await chart.getByRole('img').getAttribute('aria-label');
      expect(picture).toContain('model-1 940, model-2 800');
      expect(picture).toContain('Other models 300, Other services 7');
      await keepScreenshot(page, `stacked-${role}`);
      const rows = await tableOf(page.getByRole('figure').filter({ has: page.getByText('Other services') }));
      expect(rows[0]).toEqual(COLUMNS);
      const day = (daysAgo: number) => rows.at(-1 - daysAgo)?.slice(1);
      expect(day(3)).toEqual(['4,500', '900', '800', '700', '600', '500', '400', '300', '300', '0']);
      expect(day(2)).toEqual(['47', '40', '0', '0', '0', '0', '0', '0', '0', '7']);
      expect(rows).toHaveLength(31);
      await page.getByRole('button', { name: '7 days' }).click();
      await expect
        .poll(
          async () =>
            (await page.getByRole('region', { name: 'Credits by day and model' }).getByRole('row').all())
              .length,
        )
        .toBe(8);
    },
  );
});

describe('usage of everyone', () => {
  it('is listed for admins, filtered, looked at in detail and saved as CSV', async () => {
    const [one, two] = [service.direct.as(freshUser('one')), service.direct.as(freshUser('two'))];
    for (const user of [one, two]) {
      await user.post('/api/usage/record', { service: 'search', operation: 'index', credits: 3 });
      await user.post('/api/usage/charge', {
        requestId: `call of ${user.userId}`,
        modelId: 'a-model',
        tokens: 3000,
        billingStatus: 'needs_review',
        metadata: { ticket: `T of ${user.userId}` },
      });
    }
    const page = await as(freshUser('admin'), 'admin', '/usage');
    const rows = (text: string) => page.getByRole('row').filter({ hasText: text });
    await expect.poll(() => rows(one.userId).count()).toBe(2);
    expect(await rows(two.userId).count()).toBe(2);
    await page.getByLabel('Status').selectOption('needs review');
    await expect.poll(() => rows(one.userId).count()).toBe(1);
    await page.getByLabel('Request').fill(`call of ${two.userId}`);
    await page.getByLabel('Request').press('Enter');
    await expect.poll(() => rows(one.userId).count()).toBe(0);
    await rows(two.userId)
      .getByRole('button', { name: /a-model/ })
      .click();
    await dialog(page).getByText(`T of ${two.userId}`).waitFor();
    await dialog(page).getByText('Sum 3, rounded up once: 3 credits').waitFor();
    await page.keyboard.press('Escape');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    const [, ...lines] = parseCsv(Buffer.concat(chunks).toString());
    expect(lines.map((line) => [line[1], line[6]])).toEqual([[two.userId, 'needs_review']]);

    await page.getByRole('button', { name: 'Clear filters' }).click();
    await expect.poll(() => rows(one.userId).count()).toBe(2);
    await page.getByLabel('User').fill(one.userId);
    await page.getByLabel('User').press('Enter');
    await page.getByText(`Calls by ${one.userId}`).waitFor();
    await expect.poll(() => page.getByText('2 records', { exact: true }).count()).toBe(1);
    await page.getByLabel('API key').fill('no number');
    await page.getByLabel('API key').press('Enter');
    await page.getByRole('alert').getByText('apiKeyId').waitFor();
  });

  it('reads a page that failed again when a person asks for it, and not by itself', async () => {
    const userId = freshUser();
    const user = service.direct.as(userId);
    for (let credits = 0; credits < 210; credits++)
      await user.post('/api/usage/record', { service: 'chat', operation: `call-${credits}`, credits });
    const page = await as(freshUser('admin'), 'admin');
    let refused = 0;
    await page.route('**/api/usage/records/all?*cursor=*', async (route) => {
      refused++;
      await route.fulfill({ status: 500, json: { detail: 'Something went wrong' } });
    });
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Usage' }).click();
    await page.getByLabel('User').fill(userId);
    await page.getByLabel('User').press('Enter');
    const table = page.getByRole('region', { name: 'Usage records, newest first' });
    await table.getByText('call-209', { exact: true }).waitFor();
    const toTheEnd = () => table.evaluate((frame) => frame.scrollTo(0, frame.scrollHeight));
    await expect
      .poll(async () => {
        await toTheEnd();
        return table.getByRole('button', { name: 'Try again' }).count();
      })
      .toBe(1);
    // Every drawing would ask again.
    for (let drawing = 0; drawing < 20; drawing++)
      await table.evaluate(
        (frame, top) =>
          new Promise((drawn) => {
            frame.scrollTo(0, top);
            requestAnimationFrame(() => requestAnimationFrame(drawn));
          }),
        1000 + drawing * 300,
      );
    expect(refused).toBe(1);
    await page.unroute('**/api/usage/records/all?*cursor=*');
    await toTheEnd();
    await table.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('210 records', { exact: true }).waitFor();
    expect(await table.getByRole('alert').count()).toBe(0);
  });

  it('of 100,000 records is read to its end and back in bounded memory, a screen drawn at a time', async () => {
    const userId = freshUser();
    await service.direct.as(userId).get('/api/credits/balance');
    await service.direct.owner.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, request_id)
       SELECT $1::varchar, $1::varchar, now() - n * interval '10 seconds', CASE WHEN n = 99990 THEN 'rare' ELSE 'chat' END, 'model-' || n, 1,
              '{"inputTokens": 700, "outputTokens": 300}', 'recorded', 'request-' || n
         FROM generate_series(1, 100000) n`,
      [userId],
    );
    await service.direct.owner.query('ANALYZE usage_records');
    const page = await as(freshUser('admin'), 'admin', `/usage?user=${userId}`);
    const table = page.getByRole('region', { name: 'Usage records, newest first' });
    await table.getByText('model-1', { exact: true }).waitFor();
    const devTools = await page.context().newCDPSession(page);
    const heapMegabytes = async () => {
      await devTools.send('HeapProfiler.collectGarbage');
      return (await devTools.send('Runtime.getHeapUsage')).usedSize / 1_000_000;
    };
    let mostRows = 0;
    await page.exposeFunction('rowsSeen', (count: number) => void (mostRows = Math.max(mostRows, count)));
    const before = await heapMegabytes();
    const began = performance.now();
    // Like a person who holds the key down, without a pause between the frames.
    await page.evaluate(() => {
      const frame = document.querySelector('[aria-label="Usage records, newest first"]') as HTMLElement;
      const down = () => {
        frame.scrollTo(0, frame.scrollHeight);
        (window as unknown as { rowsSeen(count: number): void }).rowsSeen(
          frame.querySelectorAll('tr').length,
        );
        if (!document.body.textContent?.includes('100,000 records')) setTimeout(down, 20);
      };
      down();
    });
    await page.getByText('100,000 records').waitFor({ timeout: 170_000 });
    const seconds = (performance.now() - began) / 1000;
    await table.getByText('model-100000', { exact: true }).waitFor();
    const after = await heapMegabytes();
    const summary = `100,000 rows in ${seconds.toFixed(0)} s, heap ${before.toFixed(1)} to ${after.toFixed(1)} MB, at most ${mostRows} rows drawn`;
    console.log(summary);
    expect(mostRows).toBeLessThan(80);
    expect(after - before, summary).toBeLessThan(20);
    // Back to the middle, which is no longer in memory, and to the beginning, which always is.
    const heightOfRow = 44;
    await table.evaluate((frame, top) => frame.scrollTo(0, top), 50_000 * heightOfRow);
    await table.getByText('model-50001', { exact: true }).waitFor();
    expect(await page.locator('tr[aria-rowindex="50002"]').innerText()).toContain('model-50001');
    await table.evaluate((frame) => frame.scrollTo(0, 0));
    await table.getByText('model-1', { exact: true }).waitFor();

    // A filter that matches one record far back goes on searching by itself.
    await page.getByLabel('Service', { exact: true }).fill('rare');
    await page.getByLabel('Service', { exact: true }).press('Enter');
    await table.getByText('model-99990', { exact: true }).waitFor();
    await page.getByText('1 record', { exact: true }).waitFor();
  }, 240_000);
});

describe('a model without a price', () => {
  it('becomes an alias of a model that has one: its next call costs what that model costs', async () => {
    const root = service.direct.as('root', { role: 'admin' });
    const modelId = freshUser('gpt');
    const alias = `some-gateway/${modelId}-2026-01-02`;
    expect((await root.post('/api/pricing', { modelId, pricePerThousandTokens: '7' })).status).toBe(201);
    const charge = async () => {
      const call = {
        requestId: freshUser('call'),
        modelId: alias,
        tokens: 1000,
        billingStatus: 'needs_review',
      };
      const { body } = await root.post<{ record: object }>('/api/usage/charge', call);
      return body.record;
    };
    expect(await charge()).toMatchObject({ credits: 1, pricingSource: 'fallback' });
    const page = await as('root', 'admin');
    await page.getByRole('button', { name: `Alias ${alias}` }).click();
    expect(await dialog(page).getByLabel('Costs what this model costs').inputValue()).toBe(modelId);
    await dialog(page).getByRole('button', { name: 'Create alias' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    expect(await charge()).toMatchObject({ credits: 7, pricedAs: modelId });
  });
});

describe('a record', () => {
  it('opens by its row beside the page, at an address of its own, and explains what it cost', async () => {
    const [userId, modelId] = [freshUser('payer'), freshUser('model')];
    const root = service.direct.as('root', { role: 'admin' });
    const user = service.direct.as(userId);
    const components = [
      { class: 'input', price: '0.003', providerCostUsd: '0.000001' },
      { class: 'output', price: '0.0155', providerCostUsd: '0.00001' },
    ];
    await root.post('/api/pricing', { modelId, components });
    await user.get('/api/credits/balance');
    for (const credits of [20, 100]) await root.post('/api/credits/allocate', { userId, credits });
    await user.post('/api/budgets', { scope: 'account', unit: 'credits', window: 'month', amount: 900 });
    const sessionId = freshUser('session');
    await user.post('/api/streaming-sessions/initialize', {
      ...{ sessionId, modelId, inputTokens: 1001, maxOutputTokens: 900 },
    });
    await user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 800 });
    await user.post('/api/streaming-sessions/finalize', {
      ...{ sessionId, quantities: { input: 1001, output: 801 } },
    });
    const page = await as(userId, 'user', '/usage');
    const table = page.getByRole('region', { name: 'Usage records, newest first' });
    await table.getByRole('row').nth(1).getByText('chat-streaming').click();
    const panel = page.getByRole('dialog', { name: /^Usage record/ });
    await panel.getByText('Sum 15.4185, rounded up once: 16 credits').waitFor();
    const text = (await panel.innerText()).replace(/\s+/g, ' ');
    expect(text).toContain('output 801 0.0155 12.4155');
    expect(text).toMatch(/16 credits from allocation #\d+/);
    expect(text).toContain('Whole account: 900 credits per month');
    expect(text).toMatch(
      /Held \d+ credits: an estimate of .+ 800 tokens reported while it ran .+ Finalized: cost 16 credits/,
    );
    expect(text).not.toMatch(/cost in usd|provider cost/i);
    const id = /Usage record (\d+)/.exec(text)?.[1];
    expect(page.url()).toContain(`record=${id}`);
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
    expect(page.url()).not.toContain('record=');
    const shared = await as(freshUser('admin'), 'admin', `/usage?record=${id}`);
    const again = shared.getByRole('dialog', { name: `Usage record ${id}` });
    await again.getByText('Cost in USD').waitFor();
    await keepScreenshot(shared, 'record');
    await again.getByRole('link', { name: new RegExp(`^Rule #\\d+ of ${modelId}$`) }).click();
    await shared.getByRole('heading', { level: 1, name: modelId }).waitFor();
  });
});

describe('an address', () => {
  it('with two days is a period, with a part that there is not shows another one, and has the title of its page', async () => {
    const userId = freshUser();
    await service.direct.as(userId, { username: 'Grace Hopper' }).post('/api/usage/charge', {
      ...{ requestId: freshUser('call'), modelId: 'm', tokens: 900, onInsufficient: 'review' },
    });
    const page = await as(freshUser('admin'), 'admin', '/usage?from=2026-01-02&to=2026-01-05');
    expect(await page.getByLabel('Start date (UTC)').inputValue()).toBe('2026-01-02');
    expect(await page.getByRole('button', { name: 'Custom' }).getAttribute('aria-pressed')).toBe('true');
    const account = await as(freshUser('admin'), 'admin', `/users/${userId}/ledger`);
    await account
      .getByRole('region', { name: 'Ledger, newest first' })
      .or(account.getByText('No ledger entries yet'))
      .waitFor();
    await expect.poll(() => account.title()).toBe('Grace Hopper · Accounting');
  });

  it('of a user that there is not offers no credits', async () => {
    const page = await as(freshUser('admin'), 'admin', `/users/${freshUser('nobody')}`);
    await page.getByText('Not found', { exact: true }).waitFor();
    for (const name of ['Allocate', 'Deduct'])
      expect(await page.getByRole('button', { name }).count()).toBe(0);
  });
});

describe('the page of an account', () => {
  it('counts all calls of the period that were not paid, and draws a new lot from when it began', async () => {
    const userId = freshUser();
    const user = service.direct.as(userId);
    for (let call = 0; call < 12; call++)
      await user.post('/api/usage/charge', {
        ...{ requestId: `unpaid-${call}`, modelId: 'm', tokens: 900, onInsufficient: 'review' },
      });
    await service.direct
      .as('root', { role: 'admin' })
      .post('/api/credits/allocate', { userId, credits: 9, expiryDays: 30 });
    const page = await as(freshUser('admin'), 'admin', `/users/${userId}`);
    await page
      .getByText('12 calls of this period could not be paid in full: 12 credits to review.')
      .waitFor();
    const lot = page.locator('.allocation-whole');
    await lot.waitFor();
    expect(Number(await lot.getAttribute('x'))).toBeLessThan(1);
    await page.getByRole('link', { name: 'Usage', exact: true }).last().click();
    const table = page.getByRole('region', { name: 'Usage records, newest first' });
    await table.click({ position: { x: 4, y: 4 } });
    await page.keyboard.press('PageDown');
    expect(await table.evaluate((frame) => getComputedStyle(frame).outlineStyle)).toBe('none');
  });
});

describe('a list without a match', () => {
  it('shows no tick, which would say that all is well', async () => {
    const page = await as(freshUser('admin'), 'admin', '/usage?service=none-of-this-name');
    const empty = page.locator('.empty').filter({ hasText: 'No matching usage' });
    await empty.waitFor();
    const tick = 'M5 13l4 4L19 7';
    expect(await empty.locator('path').getAttribute('d')).not.toBe(tick);
  });
});
