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

/** Somebody who has just spent the last of their credits: the endpoint is told. */
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
  await dialog(page).getByRole('button', { name: 'Only these' }).click();
  await dialog(page).getByLabel('No credits are left').check();
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
  it('is made, tested, seen to deliver, to fail, to give up, and to deliver again when it is replayed', async () => {
    const page = await asAdmin('/webhooks');
    await page.getByText('No endpoint yet').waitFor();
    const secret = await makeEndpoint(page);
    expect(await page.content()).not.toContain(secret);
    await page.getByText('Nothing was delivered yet').waitFor();

    await page.getByRole('button', { name: 'Send a test' }).click();
    await toast(page, 'The test was taken: 204');
    expect(receiver.received[0]?.event.type).toBe('webhook.test');
    expect(isSignedWith(secret, receiver.received[0] as Received)).toBe(true);

    const first = await exhaust();
    await rowOf(page, first).getByText('delivered').waitFor();
    expect(receiver.of(first).map(({ event }) => event.type)).toEqual(['credits.exhausted']);

    receiver.reply = () => ({ status: 503 });
    const second = await exhaust();
    await rowOf(page, second).getByText('waits').waitFor();
    await rowOf(page, second).getByText('503').waitFor();
    await page.getByText('failing', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Send a test' }).click();
    await toast(page, 'The test failed: answered 503');

    await letLastAttemptCome();
    await rowOf(page, second).getByText('given up').waitFor();
    await page.getByRole('button', { name: 'Given up' }).click();
    await rowOf(page, first).waitFor({ state: 'detached' });
    await rowOf(page, second)
      .getByRole('button', { name: /^Details/ })
      .click();
    await dialog(page).getByText('answered 503').waitFor();

    receiver.reply = () => ({ status: 200 });
    await dialog(page).getByRole('button', { name: 'Replay' }).click();
    await toast(page, 'will be delivered again');
    await page.getByText('None of these').waitFor();
    await page.getByRole('button', { name: 'Delivered', exact: true }).click();
    await rowOf(page, second).getByText('delivered').waitFor();
    const ids = new Set(receiver.of(second).map(({ headers }) => headers['webhook-id']));
    expect(ids.size).toBe(1);
    await page.getByText('active', { exact: true }).waitFor();
  });

  it('gets what happened while it was paused when it is switched on and replayed', async () => {
    const page = await asAdmin('/webhooks');
    await makeEndpoint(page);
    await page.getByRole('button', { name: 'Pause' }).click();
    await toast(page, 'Paused');
    await page.getByText('paused', { exact: true }).waitFor();
    expect(await page.getByRole('button', { name: 'Replay many' }).isDisabled()).toBe(true);
    const users = [await exhaust(), await exhaust()];
    await expect
      .poll(async () => (await service.direct.owner.query('SELECT FROM event_outbox')).rowCount)
      .toBe(0);
    await page.getByRole('button', { name: 'Switch on' }).click();
    await toast(page, 'Switched on');
    expect(receiver.received).toEqual([]);
    await page.getByRole('button', { name: 'Replay many' }).click();
    await dialog(page).getByRole('button', { name: 'Replay', exact: true }).click();
    await toast(page, '2 deliveries will be made again');
    for (const user of users) await rowOf(page, user).getByText('delivered').waitFor();
    expect(receiver.received.map(({ event }) => event.userId).sort()).toEqual(users.sort());
  });

  it('is changed, has its secret rotated with an overlap, and is deleted after a question', async () => {
    const page = await asAdmin('/webhooks');
    const secret = await makeEndpoint(page);
    await page.getByRole('button', { name: 'Change' }).click();
    expect(await dialog(page).getByLabel('No credits are left').isChecked()).toBe(true);
    await dialog(page).getByLabel('Description').fill('top-up reminders');
    await dialog(page).getByRole('button', { name: 'Everything' }).click();
    await dialog(page).getByRole('button', { name: 'Save' }).click();
    await page.getByText('top-up reminders').waitFor();

    await page.getByRole('button', { name: 'Rotate secret' }).click();
    await dialog(page).getByLabel('The old secret ends').selectOption({ label: 'after an hour' });
    await dialog(page).getByRole('button', { name: 'Rotate', exact: true }).click();
    const next = await dialog(page).getByTestId('webhook-secret').innerText();
    await page.keyboard.press('Escape');
    await page.getByText('old secret until').waitFor();
    await page.getByRole('button', { name: 'Send a test' }).click();
    await toast(page, 'The test was taken');
    const received = receiver.received.at(-1) as Received;
    expect([secret, next].map((each) => isSignedWith(each, received))).toEqual([true, true]);

    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog(page).getByText('This cannot be undone').waitFor();
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog(page).getByRole('button', { name: 'Delete' }).click();
    await page.getByText('No endpoint yet').waitFor();
  });

  it('says at the field why a URL is refused, and what it is that has been deleted meanwhile', async () => {
    const page = await asAdmin('/webhooks');
    await page.getByRole('button', { name: 'New endpoint' }).click();
    const url = dialog(page).getByLabel('URL');
    expect(await url.evaluate((field) => field === document.activeElement)).toBe(true);
    await page.keyboard.type('http://127.0.0.1:22/');
    await page.keyboard.press('Enter');
    await dialog(page).getByText('must not have the port 22').waitFor();
    expect(await url.getAttribute('aria-invalid')).toBe('true');
    await page.keyboard.press('Escape');
    await makeEndpoint(page);
    await service.direct.owner.query('DELETE FROM webhook_endpoints');
    await page.getByRole('button', { name: 'Send a test' }).click();
    await page.getByText('There is nothing here').first().waitFor();
  });

  it('that has switched itself off says why, and is switched on again', async () => {
    const page = await asAdmin('/webhooks');
    await makeEndpoint(page);
    receiver.reply = () => ({ status: 410 });
    const user = await exhaust();
    await page.getByText('it answered 410, gone').waitFor();
    receiver.reply = () => ({ status: 200 });
    await page.getByRole('button', { name: 'Switch on' }).click();
    await rowOf(page, user).getByText('delivered').waitFor();
    expect(await page.getByText('it answered 410, gone').count()).toBe(0);
  });

  it('is nothing for supervisors', async () => {
    const { page } = await visit(browser, service.url, { path: '/webhooks' });
    await signIn(page, freshUser(), 'supervisor');
    await page.getByText('Your role does not include this').waitFor();
  });
});

describe('the quarantine', () => {
  it('shows calls of unknown users, and charges them when they are tried again and the user is there', async () => {
    const userId = freshUser('stranger');
    const taken = await service.direct.internal().post('/api/integrations/litellm/logs', gatewayCall(userId));
    expect(taken.body).toMatchObject({ quarantined: 1 });
    const page = await asAdmin('/quarantine');
    const row = rowOf(page, userId);
    await row.getByText('unknown user').waitFor();
    await row.getByRole('button', { name: /^Details/ }).click();
    await dialog(page).getByText('"completionTokens": "600"').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Try all again' }).click();
    await toast(page, '0 calls charged, 1 call still waiting');
    await row.waitFor();
    const user = service.direct.as(userId);
    await user.get('/api/credits/balance');
    await page.getByRole('button', { name: 'Try all again' }).click();
    await page.getByText('Nothing is in quarantine').waitFor();
    const { body } = await user.get<{ items: object[] }>('/api/usage/records');
    expect(body.items).toHaveLength(1);
  });

  it('however much of it there is, is read to its end and back', async () => {
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
});
