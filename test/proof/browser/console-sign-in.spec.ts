import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ConsoleService,
  keepScreenshot,
  launchBrowser,
  startConsole,
  visit,
} from '../../support/console.js';
import { OpenIdProvider } from '../../support/openid-provider.js';

/** Of another site than the service, as a real one is: this machine by another name. */
const provider = new OpenIdProvider('localhost');
let service: ConsoleService;
let browser: Browser;
beforeAll(async () => {
  service = await startConsole(async (url) => (await provider.start(url)).settings(url));
  browser = await launchBrowser();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
afterAll(async () => {
  await browser.close();
  await service.close();
  await provider.stop();
});

const signInLink = (page: Page) => page.getByRole('link', { name: 'Sign in', exact: true });
const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name });

/** A page on which this person has signed in at the provider. */
async function as(person: string, role: string, path = ''): Promise<Page> {
  Object.assign(provider, { person, claims: { role } });
  const { page } = await visit(browser, service.url, { path });
  await signInLink(page).click();
  await page.getByRole('navigation').waitFor();
  return page;
}

const addressOf = (page: Page) => page.url().slice(service.url.length);

describe('signing in at a provider', () => {
  it('leads back to the page where it began, and survives a reload and a second tab', async () => {
    const page = await as('ada', 'admin', '/usage?days=7');
    expect(addressOf(page)).toBe('/console/usage?days=7');
    await heading(page, 'Usage').waitFor();
    const stream = page.waitForResponse((response) => response.url().includes('/api/events/stream'));
    await page.reload();
    await heading(page, 'Usage').waitFor();
    expect((await stream).status()).toBe(200);
    const tab = await page.context().newPage();
    await tab.goto(`${service.url}/console/users`);
    await heading(tab, 'Users').waitFor();
    const seen = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
    );
    expect(seen).not.toMatch(/eyJ|accounting-session/);
  });

  it('carries out what a person does, and keeps an upload’s credentials, too', async () => {
    const page = await as('root', 'admin', '/users/root');
    await page.getByRole('button', { name: 'Allocate' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Credits').fill('1234');
    await dialog.getByRole('button', { name: /Allocate/ }).click();
    await dialog.waitFor({ state: 'detached' });
    const { rows } = await service.direct.owner.query(
      `SELECT available::int FROM credit_balances WHERE account_id = 'root'`,
    );
    expect(rows).toEqual([{ available: 1234 }]);
  });

  it('shows why it did not succeed, and takes it out of the address', async () => {
    const { page } = await visit(browser, service.url, { path: '/usage?days=7&signInProblem=unavailable' });
    await page.getByRole('alert').getByText('The sign-in provider does not respond').waitFor();
    expect(addressOf(page)).toBe('/console/usage?days=7');
    await page.getByText('Use an access token').click();
    await page.getByLabel('Access token').waitFor();
    await keepScreenshot(page, 'sign-in-provider');
  });
});

describe('a session that is over', () => {
  it('says so, and the next sign-in continues on the same page', async () => {
    const page = await as('ada', 'admin', '/prices');
    await service.direct.owner.query('DELETE FROM console_sessions');
    await page.getByRole('link', { name: 'Sessions' }).click();
    await expect.poll(() => page.locator('body').innerText()).toContain('Your session has ended.');
    expect(addressOf(page)).toBe('/console/sessions');
    await signInLink(page).click();
    await heading(page, 'Sessions').waitFor();
    expect(addressOf(page)).toBe('/console/sessions');
  });

  it('is over in every tab once a person signs out, at the provider as well; signing in again continues in both', async () => {
    const page = await as('ada', 'supervisor', '/users');
    const tab = await page.context().newPage();
    await tab.goto(`${service.url}/console/prices`);
    await heading(tab, 'Prices').waitFor();
    await tab.getByRole('button', { name: 'Sign out' }).click();
    await tab.getByRole('heading', { name: 'Sign out of the provider?' }).waitFor();
    await page.getByText('You signed out in another tab.').waitFor();
    await tab.getByRole('button', { name: 'Yes' }).click();
    await signInLink(tab).waitFor();
    expect(addressOf(tab)).toBe('/console');
    await page.reload();
    await signInLink(page).waitFor();
    await signInLink(tab).click();
    await tab.getByRole('navigation').waitFor();
    await heading(page, 'Users').waitFor();
  });
});
