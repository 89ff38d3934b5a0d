import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { gatewayCall } from '../../support/console-data.js';
import { type ConsoleService, launchBrowser, signIn, startConsole, visit } from '../../support/console.js';
import { TARGETS_ON_THIS_MACHINE } from '../../support/events.js';
import { userWithCredits } from '../../support/money.js';
import { freshUser } from '../../support/service.js';
import { isSignedWith, type Received, WebhookReceiver } from '../../support/webhook-receiver.js';
import { readToEnd } from './long-lists.js';

let service: ConsoleService;
let browser: Browser;
let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await new WebhookReceiver().start();
  service = await startConsole({ ...TARGETS_ON_THIS_MACHINE, WEBHOOK_TIMEOUT_MS: '1000' });
  browser = await launchBrowser();
});
beforeEach(async () => {
  await service.direct.owner.query('DELETE FROM webhook_endpoints');
  receiver.received.length = 0;
  receiver.reply = () => ({ status: 204 });
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
afterAll(async () => {
  await browser.close();
  await service.close();
  await receiver.stop();
});

async function asAdmin(path: string): Promise<Page> {
  const { page } = await visit(browser, service.url, { path });
  await signIn(page, 'admin', 'admin');
  return page;
}

const dialog = (page: Page) => page.getByRole('dialog');
const toast = (page: Page, text: string | RegExp) =>
  page.getByRole('status').getByText(text).first().waitFor();
const rowOf = (page: Page, userId: string) => page.getByRole('row').filter({ hasText: userId });

/** A user who has just spent their last credits: the endpoint receives an event. */
async function exhaust(): Promise<string> {
  const { userId } = await userWithCredits(service.direct, 150);
  const admin = service.direct.as('admin', { role: 'admin' });
  await admin.post('/api/credits/deduct', { userId, credits: 150, notes: 'spent' });
  return userId;
}

/** As after more than a day of attempts. */
const letLastAttemptCome = () =>
  service.direct.owner.query(
    `UPDATE webhook_lanes SET attempts = 11, next_attempt_at = now() WHERE lease IS NULL`,
  );

async function makeEndpoint(page: Page): Promise<string> {
  await page.getByRole('button', { name: 'New endpoint' }).click();
  await dialog(page).getByLabel('URL').fill(receiver.url);
  await dialog(page).getByRole('button', { name: 'Selected events' }).click();
  await dialog(page).getByLabel('No credits left').check();
  await dialog(page).getByRole('button', { name: 'Create endpoint' }).click();
  const secret = await dialog(page).getByTestId('webhook-secret').innerText();
  await dialog(page).getByRole('button', { name: 'Copy', exact: true }).click();
  await dialog(page).getByRole('button', { name: 'Copied' }).waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
  await dialog(page).getByRole('button', { name: 'Done' }).click();
  await page.getByRole('heading', { level: 1, name: receiver.url }).waitFor();
  return secret;
}

describe('a webhook endpoint', () => {
  it('is created and tested, delivers, fails, gives up, and delivers again after a replay', async () => {
    const page = await asAdmin('/webhooks');
    await page.getByText('No endpoints yet').waitFor();
    const secret = await makeEndpoint(page);
    expect(await page.content()).not.toContain(secret);
    await page.getByText('No deliveries yet').waitFor();

    await page.getByRole('button', { name: 'Send test' }).click();
    await toast(page, 'Test delivered: 204');
    expect(receiver.received[0]?.event.type).toBe('webhook.test');
    expect(isSignedWith(secret, receiver.received[0] as Received)).toBe(true);

    const first = await exhaust();
    await rowOf(page, first).getByText('delivered').waitFor();
    expect(receiver.of(first).map(({ event }) => event.type)).toEqual(['credits.exhausted']);

    receiver.reply = () => ({ status: 503 });
    const second = await exhaust();
    await rowOf(page, second)
      .getByText(/^(pending|retrying)$/)
      .waitFor();
    await rowOf(page, second).getByText('503').waitFor();
    await page.getByText('failing', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Send test' }).click();
    await toast(page, 'Test failed: answered 503');

    await letLastAttemptCome();
    await rowOf(page, second).getByText('failed permanently').waitFor();
    await page.getByRole('button', { name: 'Failed permanently' }).click();
    await rowOf(page, first).waitFor({ state: 'detached' });
    await rowOf(page, second)
      .getByRole('button', { name: /^Details/ })
      .click();
    await dialog(page).getByText('answered 503').waitFor();

    receiver.reply = () => ({ status: 200 });
    await dialog(page).getByRole('button', { name: 'Replay' }).click();
    await toast(page, 'will be replayed');
    await page.getByText('No matching deliveries').waitFor();
    await page.getByRole('button', { name: 'Delivered', exact: true }).click();
    await rowOf(page, second).getByText('delivered').waitFor();
    const ids = new Set(receiver.of(second).map(({ headers }) => headers['webhook-id']));
    expect(ids.size).toBe(1);
    await page.getByText('active', { exact: true }).waitFor();
  });

  it('receives what happened while it was paused once it is enabled and replayed', async () => {
    const page = await asAdmin('/webhooks');
    await makeEndpoint(page);
    await page.getByRole('button', { name: 'Pause' }).click();
    await toast(page, 'Paused');
    await page.getByText('paused', { exact: true }).waitFor();
    expect(await page.getByRole('button', { name: 'Replay missed' }).isDisabled()).toBe(true);
    const users = [await exhaust(), await exhaust()];
    await expect
      .poll(async () => (await service.direct.owner.query('SELECT FROM event_outbox')).rowCount)
      .toBe(0);
    await page.getByRole('button', { name: 'Enable' }).click();
    await toast(page, 'Enabled');
    expect(receiver.received).toEqual([]);
    await page.getByRole('button', { name: 'Replay missed' }).click();
    await dialog(page).getByRole('button', { name: 'Replay', exact: true }).click();
    await toast(page, '2 deliveries will be replayed');
    for (const user of users) await rowOf(page, user).getByText('delivered').waitFor();
    expect(receiver.received.map(({ event }) => event.userId).sort()).toEqual(users.sort());
  });

  it('is edited, has its secret rotated with an overlap, and is deleted after a confirmation', async () => {
    const page = await asAdmin('/webhooks');
    const secret = await makeEndpoint(page);
    await page.getByRole('button', { name: 'Edit' }).click();
    expect(await dialog(page).getByLabel('No credits left').isChecked()).toBe(true);
    await dialog(page).getByLabel('Description').fill('top-up reminders');
    await dialog(page).getByRole('button', { name: 'All events' }).click();
    await dialog(page).getByRole('button', { name: 'Save' }).click();
    await page.getByText('top-up reminders').waitFor();

    await page.getByRole('button', { name: 'Rotate secret' }).click();
    await dialog(page).getByLabel('Old secret expires').selectOption({ label: 'in 1 hour' });
    await dialog(page).getByRole('button', { name: 'Rotate', exact: true }).click();
    const next = await dialog(page).getByTestId('webhook-secret').innerText();
    await dialog(page).getByRole('button', { name: 'Close without copying' }).click();
    await page.getByText('old secret expires').waitFor();
    await page.getByRole('button', { name: 'Send test' }).click();
    await toast(page, 'Test delivered');
    const received = receiver.received.at(-1) as Received;
    expect([secret, next].map((each) => isSignedWith(each, received))).toEqual([true, true]);

    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog(page).getByText('This cannot be undone').waitFor();
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog(page).getByRole('button', { name: 'Delete' }).click();
    await page.getByText('No endpoints yet').waitFor();
  });

  it('shows at the field why a URL is refused, and shows when it has been deleted meanwhile', async () => {
    const page = await asAdmin('/webhooks');
    await page.getByRole('button', { name: 'New endpoint' }).click();
    const url = dialog(page).getByLabel('URL');
    expect(await url.evaluate((field) => field === document.activeElement)).toBe(true);
    await page.keyboard.type('http://127.0.0.1:22/');
    await page.keyboard.press('Enter');
    await dialog(page).getByText('must not use port 22').waitFor();
    expect(await url.getAttribute('aria-invalid')).toBe('true');
    await page.keyboard.press('Escape');
    await makeEndpoint(page);
    await service.direct.owner.query('DELETE FROM webhook_endpoints');
    await page.getByRole('button', { name: 'Send test' }).click();
    await page.getByText('Not found').first().waitFor();
  });

  it('that was disabled shows why, and is enabled again', async () => {
    const page = await asAdmin('/webhooks');
    await makeEndpoint(page);
    receiver.reply = () => ({ status: 410 });
    const user = await exhaust();
    await page.getByText('it returned 410 Gone').waitFor();
    receiver.reply = () => ({ status: 200 });
    await page.getByRole('button', { name: 'Enable' }).click();
    await rowOf(page, user).getByText('delivered').waitFor();
    expect(await page.getByText('it returned 410 Gone').count()).toBe(0);
  });

  it('is not for supervisors', async () => {
    const { page } = await visit(browser, service.url, { path: '/webhooks' });
    await signIn(page, freshUser(), 'supervisor');
    await page.getByText('Your role does not allow this').waitFor();
  });
});

describe('the quarantine', () => {
  it('shows calls by unknown users, and charges them on a retry once the user exists', async () => {
    const userId = freshUser('stranger');
    const taken = await service.direct.internal().post('/api/integrations/litellm/logs', gatewayCall(userId));
    expect(taken.body).toMatchObject({ quarantined: 1 });
    const page = await asAdmin('/quarantine');
    const row = rowOf(page, userId);
    await row.getByText('unknown user').waitFor();
    await row.getByRole('button', { name: /^Details/ }).click();
    await dialog(page).getByText('"completionTokens": "600"').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Retry all' }).click();
    await toast(page, '0 calls charged, 1 call still in quarantine');
    await row.waitFor();
    const user = service.direct.as(userId);
    await user.get('/api/credits/balance');
    await page.getByRole('button', { name: 'Retry all' }).click();
    await page.getByText('Quarantine is empty').waitFor();
    const { body } = await user.get<{ items: object[] }>('/api/usage/records');
    expect(body.items).toHaveLength(1);
  });

  it('of any length is read to its end and back', async () => {
    const { owner } = service.direct;
    await owner.query(
      `INSERT INTO usage_quarantine (source, fingerprint, claimed_user, reason, event)
       SELECT 'litellm', encode(sha256(n::text::bytea), 'hex'), 'stranger-' || n || '.', 'unknown_user', '{}'
         FROM generate_series(1, 3000) n`,
    );
    const page = await asAdmin('/quarantine');
    const table = page.getByRole('region', { name: 'Calls in quarantine, oldest first' });
    await rowOf(page, 'stranger-1.').waitFor();
    await readToEnd(table, '3,000 calls');
    await rowOf(page, 'stranger-3000.').waitFor();
    await table.evaluate((frame) => frame.scrollTo(0, frame.scrollHeight / 3));
    await rowOf(page, 'stranger-1001.').waitFor();
    await table.evaluate((frame) => frame.scrollTo(0, 0));
    await rowOf(page, 'stranger-1.').waitFor();
    await owner.query('DELETE FROM usage_quarantine');
  });

  it('leaves out a page that arrives after the list was read again', async () => {
    const { owner } = service.direct;
    const unknown = freshUser('stranger');
    await service.direct.internal().post('/api/integrations/litellm/logs', gatewayCall(unknown));
    await owner.query(
      `INSERT INTO usage_quarantine (source, fingerprint, claimed_user, reason, event)
       SELECT source, encode(sha256(n::text::bytea), 'hex'), claimed_user, reason, event
         FROM usage_quarantine, generate_series(1, 149) n`,
    );
    const page = await asAdmin('/quarantine');
    await rowOf(page, unknown).first().waitFor();
    let release = () => {};
    const released = new Promise<void>((done) => (release = done));
    let isAnswered = false;
    await page.route('**/quarantine?*cursor=*', async (route) => {
      const response = await route.fetch();
      isAnswered = true;
      await released;
      await route.fulfill({ response });
    });
    const table = page.getByRole('region', { name: 'Calls in quarantine, oldest first' });
    await table.evaluate((frame) => frame.scrollTo(0, frame.scrollHeight));
    await expect.poll(() => isAnswered).toBe(true);
    await owner.query(
      'DELETE FROM usage_quarantine WHERE id IN (SELECT id FROM usage_quarantine ORDER BY id LIMIT 50)',
    );
    await page.getByRole('button', { name: 'Retry all' }).click();
    const count = (text: string) => page.getByText(text, { exact: true });
    await count('100 calls').waitFor();
    const late = page.waitForResponse(/cursor=/);
    release();
    await (await late).finished();
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))));
    await count('100 calls').waitFor();
    await owner.query('DELETE FROM usage_quarantine');
  });
});

describe('an alert rule', () => {
  it('is created, sends a test and alerts, is changed and deleted, and its history is under Activity', async () => {
    const page = await asAdmin('/alerts');
    await page.getByText('No rules yet').waitFor();
    await page.getByRole('button', { name: 'New rule' }).click();
    await dialog(page).getByRole('textbox', { name: 'Name' }).fill('Out of credits');
    await dialog(page).getByRole('button', { name: 'Slack' }).click();
    await dialog(page).getByLabel('Webhook URL').fill(`${receiver.url}/T0/secret-path`);
    await dialog(page).getByRole('button', { name: 'Selected events' }).click();
    await dialog(page).getByLabel('No credits left').check();
    await dialog(page).getByLabel('Send').selectOption('at once');
    await dialog(page).getByLabel('Quiet from').fill('25:00');
    await dialog(page).getByLabel('Quiet until').fill('07:00');
    await dialog(page).getByRole('button', { name: 'Create rule' }).click();
    await dialog(page).getByText('must be a time such as 22:00').waitFor();
    await dialog(page).getByLabel('Quiet from').fill('');
    await dialog(page).getByLabel('Quiet until').fill('');
    await dialog(page).getByRole('button', { name: 'Create rule' }).click();
    await toast(page, 'Rule created');
    expect(await page.content()).not.toContain('secret-path');

    await page.getByRole('button', { name: 'Send a test of Out of credits' }).click();
    await toast(page, /Test sent in \d+ ms/);
    const userId = await exhaust();
    await expect.poll(() => receiver.received.at(-1)?.text).toContain(`${userId} has no credits left`);

    await page.getByRole('button', { name: 'Edit Out of credits' }).click();
    await dialog(page).getByRole('textbox', { name: 'Name' }).fill('Nothing left');
    await dialog(page).getByRole('button', { name: 'Save' }).click();
    await toast(page, 'Rule updated');
    await page.getByRole('button', { name: 'Switch off Nothing left' }).click();
    await toast(page, 'Rule switched off');
    await page.getByRole('button', { name: 'Delete Nothing left' }).click();
    await dialog(page).getByRole('button', { name: 'Delete' }).click();
    await page.getByText('No rules yet').waitFor();

    await page.getByRole('link', { name: 'Activity' }).click();
    await rowOf(page, 'Alert rule deleted').waitFor();
    await page.getByLabel('Action').selectOption('Alert rule changed');
    await expect.poll(() => page.getByRole('row').count()).toBe(3);
    await rowOf(page, 'name: Out of credits → Nothing left').getByText('admin', { exact: true }).waitFor();
    expect(page.url()).toContain('action=alert_rule.changed');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('activity.csv');
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\r\n');
    expect(lines).toHaveLength(3);
    expect(lines[2]).toContain('Nothing left');
  });
});
