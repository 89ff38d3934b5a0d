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
});
