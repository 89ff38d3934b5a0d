import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatewayCall, seedConsole } from '../../support/console-data.js';
import {
  type ConsoleService,
  keepScreenshot,
  launchBrowser,
  signIn,
  startConsole,
  visit,
} from '../../support/console.js';
import { TARGETS_ON_THIS_MACHINE } from '../../support/events.js';
import { WebhookReceiver } from '../../support/webhook-receiver.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

let service: ConsoleService;
let browser: Browser;
let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await new WebhookReceiver().start();
  receiver.reply = ({ event }) => ({ status: event.userId === 'alice' ? 500 : 204 });
  service = await startConsole(TARGETS_ON_THIS_MACHINE);
  const admin = service.direct.as('admin', { role: 'admin' }).at(service.url);
  await admin.post('/api/webhooks', { url: receiver.url, description: 'top-up reminders' });
  await admin.post('/api/alert-rules', { name: 'Credits run out', channel: 'slack', url: receiver.url });
  await seedConsole(service.direct);
  await service.direct.internal().post('/api/integrations/litellm/logs', gatewayCall('someone-else'));
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await service.close();
  await receiver.stop();
});

/** The violations of WCAG 2.2 AA that axe finds on the page. */
async function violationsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    (values) =>
      (window as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run({
        runOnly: { type: 'tag', values },
      }),
    RULES,
  );
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`,
  );
}

/** Each page with a text or label that is there once it has loaded. */
const PAGES: [name: string, path: string, shows: string][] = [
  ['overview', '', 'Needs attention'],
  ['users', '/users', 'carol@example.com'],
  ['user', '/users/carol', 'starter pack'],
  ['user-usage', '/users/alice/usage', 'Details of record'],
  ['user-sessions', '/users/alice/sessions', 'chat-alice-1'],
  ['user-keys', '/users/alice/keys', 'nightly report'],
  ['user-budgets', '/users/alice/budgets', 'requests per day'],
  ['organisations', '/organisations', 'org:acme'],
  ['organisation', '/organisations/org%3Aacme', 'Budgets of Vision'],
  ['organisation-members', '/organisations/org%3Aacme/members', 'What bob may spend'],
  ['organisation-keys', '/organisations/org%3Aacme/keys', 'No API keys yet'],
  ['organisation-usage', '/organisations/org%3Aacme/usage', 'Spent by unit'],
  ['sessions', '/sessions', 'chat-alice-1'],
  ['usage', '/usage?user=alice', 'Details of record'],
  ['usage-organisation', '/usage?user=org%3Aacme', 'Details of record'],
  ['usage-all', '/usage', 'Details of record'],
  ['prices', '/prices', 'gpt-4o-mini'],
  ['model', '/prices/gpt-4o', 'current'],
  ['api-keys', '/api-keys', 'No API keys yet'],
  ['review', '/review', 'Select record'],
  ['quarantine', '/quarantine', 'unknown user'],
  ['activity', '/activity', 'Credits allocated'],
  ['alerts', '/alerts', 'Credits run out'],
  ['webhooks', '/webhooks', 'top-up reminders'],
  ['webhook', '/webhooks/1', 'Details of delivery'],
  ['not-found', '/nowhere', 'There is no such page'],
];
const DIALOGS: [name: string, path: string, button: string][] = [
  ['allocate', '/users/carol', 'Allocate'],
  ['new-rule', '/prices/gpt-4o', 'New rule'],
  ['import', '/prices', 'Import'],
  ['new-key', '/api-keys', 'New key'],
  ['new-budget', '/organisations/org%3Aacme', 'New budget'],
  ['budget-history', '/organisations/org%3Aacme', 'History'],
  ['new-unit', '/organisations/org%3Aacme', 'New unit'],
  ['new-member', '/organisations/org%3Aacme/members', 'Add member'],
  ['archive', '/organisations/org%3Aacme', 'Archive organisation'],
  ['leave', '/organisations/org%3Aacme', 'Leave organisation'],
  ['may-spend', '/organisations/org%3Aacme/members', 'What bob may spend'],
  ['new-alert-rule', '/alerts', 'New rule'],
  ['change-alert-rule', '/alerts', 'Edit Credits run out'],
  ['new-webhook', '/webhooks', 'New endpoint'],
  ['change-webhook', '/webhooks/1', 'Edit'],
  ['replay-webhook', '/webhooks/1', 'Replay missed'],
  ['delivery', '/webhooks/1', 'Details of delivery'],
  ['record', '/usage?user=alice', 'Details of record'],
];

/** Goes there as a link does: a reload would require a new sign-in. */
async function go(page: Page, path: string): Promise<void> {
  await page.evaluate((to) => {
    history.pushState(null, '', to);
    dispatchEvent(new PopStateEvent('popstate'));
  }, `/console${path}`);
}

const WIDE = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };

describe('every page and form', () => {
  it.each([
    ['on a wide screen in light', 'wide-light', WIDE, 'light'],
    ['on a wide screen in dark', 'wide-dark', WIDE, 'dark'],
    ['on a phone', 'phone', PHONE, 'light'],
  ] as const)(
    '%s meets WCAG AA and fits',
    async (_, screen, viewport, colorScheme) => {
      const { page, complaints } = await visit(browser, service.url, { viewport, colorScheme });
      const found: Record<string, string[]> = {};
      const look = async (name: string) => {
        const violations = await violationsOf(page);
        const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        if (isTooWide) violations.push('wider than the screen');
        if (violations.length > 0) found[name] = violations;
        await keepScreenshot(page, `${screen}-${name}`);
      };
      await page.getByText('Version').waitFor();
      await look('sign-in');
      await signIn(page, 'admin');
      for (const [name, path, shows] of PAGES) {
        await go(page, path);
        await page
          .getByRole('main')
          .getByText(shows)
          .or(page.getByRole('main').getByLabel(shows))
          .first()
          .waitFor({ state: 'attached' });
        await expect.poll(() => page.locator('.skeleton').count()).toBe(0);
        await look(name);
      }
      for (const [name, path, button] of DIALOGS) {
        await go(page, path);
        await page.getByRole('button', { name: button }).first().click();
        await page.getByRole('dialog').waitFor();
        await look(name);
        await page.keyboard.press('Escape');
      }
      await go(page, '/users');
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox').fill('al');
      await page.getByRole('option', { name: 'People' }).first().waitFor();
      await look('palette');
      await page.keyboard.press('Escape');
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor();
      await look('keys');
      expect(found).toEqual({});
      expect(complaints).toEqual([]);
    },
    180_000,
  );
});
