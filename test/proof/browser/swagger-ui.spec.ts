import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startService, type TestService } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';

let service: TestService;
let browser: Browser;
beforeAll(async () => {
  service = await startService();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM as string,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync'],
  });
});
afterAll(async () => {
  await browser.close();
  await service.close();
});

describe('Swagger UI in a real browser', () => {
  it('loads under the content security policy, authorises a person, and makes their call', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(`${service.url}/api/docs`);
    await page.getByText('LLM accounting service').first().waitFor();

    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page
      .locator('.auth-container input')
      .first()
      .fill(accessToken({ sub: 'browser-user' }));
    await page.locator('.auth-btn-wrapper button.authorize').first().click();
    await page.locator('.btn-done').first().click();

    const operation = page.locator('#operations-Credits-getBalance');
    await operation.locator('.opblock-summary').click();
    await operation.getByRole('button', { name: 'Execute' }).click();
    const answer = operation.locator('.live-responses-table .response .response-col_description');
    await expect.poll(() => answer.first().textContent()).toContain('"userId": "browser-user"');
    expect(complaints).toEqual([]);
  });

  it('repeats a request without a key that makes it a conflict, imports as a dry run, and stays authorised', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    await page.goto(`${service.url}/api/docs`);
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    const token = accessToken({ sub: 'alice', role: 'admin' });
    await page.locator('.auth-container input').first().fill(token);
    await page.locator('.auth-btn-wrapper button.authorize').first().click();
    await page.locator('.btn-done').first().click();
    await page.reload();
    // What is allocated by the example is what the example of a charge spends: both are of the announced token's user.
    for (const [name, statuses] of [
      ['Credits-allocateCredits', ['201', '201']],
      ['Usage-chargeUsage', ['201', '200']],
    ] as const) {
      const operation = page.locator(`#operations-${name}`);
      await operation.locator('.opblock-summary').click();
      for (const [time, status] of statuses.entries()) {
        if (time > 0) await operation.getByRole('button', { name: 'Clear' }).click();
        await operation.getByRole('button', { name: 'Execute' }).click();
        const shown = operation.locator('.live-responses-table .response .response-col_status').first();
        await expect.poll(() => shown.textContent()).toContain(status);
      }
    }
    const prices = page.locator('#operations-Pricing-importPricing');
    await prices.locator('.opblock-summary').click();
    const dryRun = prices.locator('tr[data-param-name="dryRun"] select');
    expect(await dryRun.inputValue()).toBe('true');
  });
});
