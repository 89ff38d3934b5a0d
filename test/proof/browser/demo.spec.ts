import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildConsole, keepScreenshot, launchBrowser, visit } from '../../support/console.js';
import { launchDemo } from '../../support/demo-process.js';
import { type CompiledService, compileService } from '../../support/service-process.js';

let service: CompiledService;
let temporary: string;
let demo: ReturnType<typeof launchDemo>;
let browser: Browser;
let url: string;
beforeAll(async () => {
  service = await compileService();
  await buildConsole(service.directory);
  temporary = await mkdtemp(join(tmpdir(), 'accounting-demo-test-'));
  demo = launchDemo(service.directory, temporary, '--users', '60', '--port', '0');
  await demo.hasSaid('Ctrl-C ends it', 150_000);
  url = /Console +(http:\S+)\/console\n/.exec(demo.said())?.[1] ?? '';
  browser = await launchBrowser();
}, 240_000);
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
afterAll(async () => {
  await browser?.close();
  demo.child.kill('SIGINT');
  await demo.ended;
  await service.remove();
  await rm(temporary, { recursive: true, force: true });
});

/** Signs in as a newcomer does, with one click on a name. */
async function signInAs(name: string): Promise<Page> {
  const { page } = await visit(browser, url);
  await page.getByRole('button', { name }).click();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  return page;
}

const place = (page: Page, name: string) =>
  page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true });
const tab = (page: Page, name: string) =>
  page.getByRole('navigation', { name: 'Account sections' }).getByRole('link', { name });

describe('a person who opens the demo', () => {
  it('finds a user without credits, sees why, allocates credits, and sees that it works', async () => {
    const page = await signInAs('Ada Moreau');
    const troubled = page.getByRole('list', { name: 'Users needing help' });
    await troubled.getByRole('listitem').filter({ hasText: 'nora.quist' }).getByText('no credits').waitFor();
    await troubled.getByRole('link', { name: 'nora.quist' }).click();
    await page
      .getByText('No credits are available: new calls are refused. The last credits were used')
      .waitFor();
    await tab(page, 'Sessions').click();
    await page.getByText('No active sessions').waitFor();

    await page.getByRole('button', { name: 'Allocate' }).click();
    const form = page.getByRole('dialog');
    await form.getByRole('button', { name: '1,000', exact: true }).click();
    await form.getByText('will have 1,000 credits (now 0)').waitFor();
    await form.getByRole('button', { name: 'Allocate', exact: true }).click();
    await page.getByRole('status').getByText('Allocated 1,000 credits to nora.quist').waitFor();

    // The demo's traffic has this user try again and again.
    await page.getByRole('row').filter({ hasText: 'claude-sonnet-4' }).getByText('live').waitFor();
    await tab(page, 'Allocations and ledger').click();
    await page
      .getByRole('region', { name: /^Ledger/ })
      .getByText('hold', { exact: true })
      .first()
      .waitFor();
    expect(await page.getByText('No credits are available').count()).toBe(0);
    await place(page, 'Overview').click();
    await page.getByRole('list', { name: 'Users needing help' }).waitFor();
    expect(await page.getByRole('list', { name: 'Users needing help' }).getByText('nora.quist').count()).toBe(
      0,
    );
  });

  it('sees a session that lost its client', async () => {
    const page = await signInAs('Ada Moreau');
    await place(page, 'Sessions').click();
    await page
      .getByText(/^stale, .+ left$/)
      .first()
      .waitFor({ timeout: 55_000 });
  });

  it('gets from a user with unpaid calls to the review of only that user’s calls', async () => {
    const page = await signInAs('Ada Moreau');
    await place(page, 'Users').click();
    await page.getByLabel('Search users').fill('ivy.chan');
    await page.getByText('1 user', { exact: true }).waitFor();
    await page
      .getByRole('row')
      .filter({ hasText: 'Ivy Chan' })
      .getByText('ivy.chan@example.com')
      .click({ force: true });
    await page.getByText('could not be paid in full').waitFor();
    await page.getByRole('main').getByRole('link', { name: 'Review' }).click();
    const rows = page.getByRole('row').filter({ has: page.getByRole('button', { name: /^Bill/ }) });
    await rows.first().waitFor();
    expect(new Set(await rows.getByRole('link').allInnerTexts())).toEqual(new Set(['ivy.chan']));
  });

  it('sees yesterday’s usage, the margin of each model, and a model with a loss', async () => {
    const page = await signInAs('Ada Moreau');
    await page.getByRole('button', { name: '30 days' }).waitFor();
    const models = page.getByRole('region', { name: 'Usage by model' });
    const toReview = page.getByRole('link', { name: /^To review/ });
    const waiting = await toReview.getByText(/uncollected/).innerText();
    await models.getByRole('row').filter({ hasText: 'gemini-2.5-flash' }).getByText(/^−\$/).waitFor();
    await page.getByRole('button', { name: 'Yesterday' }).click();
    const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
    const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
    await page.getByText(`${day.format(new Date(yesterday))} (UTC)`).waitFor();
    await models.getByRole('row').filter({ hasText: 'gpt-4o' }).first().waitFor();
    expect(await toReview.getByText(/uncollected/).innerText()).toBe(waiting);
  });

  it('sees growth only in comparison with days that have usage', async () => {
    const page = await signInAs('Ada Moreau');
    // The demo begins in the midst of the days before.
    await page.getByText(/· selected period$/).waitFor();
    await page.getByRole('button', { name: '7 days' }).click();
    await page.getByText(/· [+−]\d+ % vs the previous 7 days$/).waitFor();
  });

  it('gets from a model to its calls in the same period', async () => {
    const page = await signInAs('Ada Moreau');
    await page.getByRole('button', { name: '7 days' }).click();
    await page.getByRole('link', { name: /^[\d,]+ calls? to gpt-4o$/ }).click();
    await page.getByRole('heading', { level: 1, name: 'Usage' }).waitFor();
    expect(await page.getByLabel('Model or operation').inputValue()).toBe('gpt-4o');
    expect(await page.getByRole('button', { name: '7 days' }).getAttribute('aria-pressed')).toBe('true');
    const records = page.getByRole('region', { name: 'Usage records, newest first' });
    const names = records.getByRole('button', { name: /^Details of record/ });
    await names.first().waitFor();
    expect(new Set(await names.allInnerTexts())).toEqual(new Set(['gpt-4o']));
    await records
      .getByText(/^\$\d\.\d{4}$/)
      .first()
      .waitFor();
  });

  it('sees that there was no usage in a period without any', async () => {
    const page = await signInAs('Ada Moreau');
    await page.getByRole('button', { name: 'Custom' }).click();
    await page.getByLabel('Start date (UTC)').fill('2020-01-01');
    await page.getByLabel('End date (UTC)').fill('2020-01-20');
    await expect.poll(() => page.getByText('No usage in this period').count()).toBe(3);
    expect(await page.locator('canvas').count()).toBe(0);
  });

  it('as a supervisor sees who needs credits, and neither margins nor reviews', async () => {
    const page = await signInAs('Sam Okafor');
    await page.getByRole('list', { name: 'Users needing help' }).getByRole('link').first().waitFor();
    expect(await page.getByRole('main').innerText()).not.toMatch(
      /Margin|Provider cost|No credits are available/,
    );
    expect(await place(page, 'Review').count()).toBe(0);
  });

  it.each([
    ['hidden from a user', 'Mia Tanaka', 0],
    ['hidden from a supervisor', 'Sam Okafor', 0],
    ['shown to an admin', 'Ada Moreau', 1],
  ])('sees that the provider costs of records and prices are %s', async (_, name, columns) => {
    const page = await signInAs(name);
    const expectColumns = async (table: string | RegExp) => {
      const frame = page.getByRole('region', { name: table });
      await frame.waitFor();
      // Of records one column; of prices those of input and output.
      const shown = await frame.getByRole('columnheader', { name: /cost/i }).count();
      expect(shown > 0).toBe(columns > 0);
    };
    await place(page, 'Usage').click();
    if (name === 'Sam Okafor') {
      await page.getByLabel('User', { exact: true }).fill('mia.tanaka');
      await page.keyboard.press('Enter');
    }
    await expectColumns(/^Usage records/);
    await page
      .getByRole('button', { name: /^Details of record/ })
      .first()
      .click();
    await page.getByRole('dialog').getByRole('heading', { name: 'Price by class' }).waitFor();
    expect(await page.getByRole('dialog').getByText('Provider cost').count()).toBe(columns);
    await page.keyboard.press('Escape');
    await place(page, 'Prices').click();
    await expectColumns('Current prices');
    await page.getByRole('link', { name: 'gpt-4o', exact: true }).click();
    await expectColumns('Rules of gpt-4o');
  });

  it.each([1280, 1366, 1440])('sees every column of an account’s tables at %i pixels', async (width) => {
    const expectWhole = async (page: Page, table: string | RegExp) => {
      const frame = page.getByRole('region', { name: table });
      await frame.waitFor();
      expect(await frame.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
    };
    const admin = await signInAs('Ada Moreau');
    await admin.setViewportSize({ width, height: 900 });
    await place(admin, 'Users').click();
    await admin.getByLabel('Search users').fill('mia.tanaka');
    await admin.getByText('1 user', { exact: true }).waitFor();
    await admin.getByRole('row').filter({ hasText: 'Mia Tanaka' }).click();
    await expectWhole(admin, /^Allocations in/);
    await tab(admin, 'API keys').click();
    await expectWhole(admin, 'API keys');
    const user = await signInAs('Mia Tanaka');
    await user.setViewportSize({ width, height: 900 });
    await expectWhole(user, /^Allocations in/);
    await place(user, 'API keys').click();
    await expectWhole(user, 'API keys');
  });

  it('sees every figure on one line at any width', async () => {
    const page = await signInAs('Ada Moreau');
    await page.getByRole('region', { name: 'Usage by model' }).waitFor();
    for (const width of [390, 768, 1101]) {
      await page.setViewportSize({ width, height: 900 });
      const broken = await page.locator('.stat-value').evaluateAll(
        (figures) =>
          figures.filter((figure) => {
            figure.textContent = '$123,456.78';
            const text = document.createRange();
            text.selectNodeContents(figure);
            return text.getClientRects().length > 1 || figure.scrollWidth > figure.clientWidth;
          }).length,
      );
      expect(broken, `${width} pixels`).toBe(0);
    }
  });

  it('fits on a phone before and after signing in', async () => {
    const { page } = await visit(browser, url, {
      viewport: { width: 390, height: 844 },
      colorScheme: 'dark',
    });
    await page.getByRole('button', { name: 'Mia Tanaka' }).waitFor();
    const { x, width } = (await page.locator('.sign-in-card').boundingBox()) ?? { x: 0, width: 0 };
    expect(x).toBeGreaterThan(0);
    expect(x + width).toBeLessThan(390);
    await keepScreenshot(page, 'demo-sign-in');
    await page.getByRole('button', { name: 'Mia Tanaka' }).click();
    await page.getByText('Mia Tanaka’s account').waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  });
});
