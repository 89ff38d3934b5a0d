import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ConsoleService,
  keepScreenshot,
  launchBrowser,
  signIn,
  startConsole,
  visit,
} from '../../support/console.js';
import { operationOf } from '../../support/contract.js';
import type { HttpClient } from '../../support/http-client.js';
import { expectSoundBooks, userWithCredits } from '../../support/money.js';
import { freshUser } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';
import { readToEnd } from './long-lists.js';

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
  await expectSoundBooks(service.direct);
  await service.close();
});

/** A page on which this person has signed in. */
async function as(sub: string, role: string, path = ''): Promise<Page> {
  const { page } = await visit(browser, service.url, { path });
  await signIn(page, sub, role);
  return page;
}

const dialog = (page: Page) => page.getByRole('dialog');
const balanceOf = async (userId: string) =>
  (await service.direct.as(userId).get<{ totalCredits: number }>('/api/credits/balance')).body.totalCredits;

describe('signing in', () => {
  it('refuses what is not a token and what the service rejects, and shows why', async () => {
    const { page } = await visit(browser, service.url);
    const token = page.getByLabel('Access token');
    await token.fill('hunter2');
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('alert').getByText('isn’t a valid JWT').waitFor();
    await token.fill(
      accessToken({ sub: 'mallory', role: 'admin' }, {}, 'another secret of someone else 0123456789'),
    );
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('alert').getByText('rejected this token: Invalid token').waitFor();
    expect(await page.getByRole('navigation').count()).toBe(0);
  });

  it('keeps the token in memory only: no storage, cookie or address has it, and a reload forgets it', async () => {
    const page = await as('admin', 'admin', '/users');
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
    );
    expect(kept).not.toMatch(/eyJ/);
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in to the console' }).waitFor();
  });

  it('asks for a new token when this one has expired, and continues on the same page', async () => {
    const { page } = await visit(browser, service.url, { path: '/users?search=zoe' });
    await signIn(page, 'admin', 'admin', 3);
    await page.getByText('Your access token has expired.').waitFor();
    await signIn(page, 'admin');
    await page.getByRole('heading', { name: 'Users' }).waitFor();
    expect(await page.getByLabel('Search users').inputValue()).toBe('zoe');
  });

  it('offers no development token where the secret is a real one', async () => {
    const { page } = await visit(browser, service.url);
    await page.getByText('Version').waitFor();
    expect(await page.getByText('development token').count()).toBe(0);
  });
});

describe('what each role sees', () => {
  const placesOf = async (role: string) => {
    const page = await as(freshUser(role), role);
    return page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts();
  };

  it('shows users their own account, supervisors the users, admins everything', async () => {
    expect(await placesOf('user')).toEqual([
      'Overview',
      'Organisations',
      'Sessions',
      'Usage',
      'Prices',
      'API keys',
      'Activity',
    ]);
    expect(await placesOf('supervisor')).toEqual([
      'Overview',
      'Users',
      'Organisations',
      'Sessions',
      'Usage',
      'Prices',
      'API keys',
      'Activity',
    ]);
    expect(await placesOf('admin')).toEqual([
      'Overview',
      'Users',
      'Organisations',
      'Sessions',
      'Usage',
      'Prices',
      'API keys',
      'Activity',
      'Review',
      'Quarantine',
      'Alerts',
      'Webhooks',
    ]);
  });

  it('explains what the API does not allow, whatever address is opened', async () => {
    const page = await as(freshUser(), 'user', '/users');
    await page.getByText('Your role does not allow this').waitFor();
    const supervisor = await as(freshUser(), 'supervisor', '/review');
    await supervisor.getByText('Your role does not allow this').waitFor();
  });

  it('shows a supervisor who has run out of credits, and no warning about their own account', async () => {
    const user = await userWithCredits(service.direct, 5);
    await user.post('/api/usage/charge', { requestId: 'the-last', modelId: 'unknown-model', tokens: 5000 });
    const page = await as(freshUser(), 'supervisor');
    const troubled = page.getByRole('list', { name: 'Users needing help' });
    const item = troubled.getByRole('listitem').filter({ hasText: user.userId });
    await item.getByText('no credits').waitFor();
    expect(await page.getByText('No credits are available').count()).toBe(0);
    await item.getByRole('link').click();
    await page.getByText('The last credits were used').waitFor();
  });

  it('shows a supervisor who is at or below their threshold, held credits counted', async () => {
    const lowUser = async () => {
      const user = await userWithCredits(service.direct, 150);
      await user.post('/api/usage/charge', { requestId: 'low', modelId: 'unknown-model', tokens: 60_000 });
      return user;
    };
    const hold = async (user: HttpClient, estimatedTokens: number) => {
      const body = { sessionId: 'all', modelId: 'unknown-model', estimatedTokens };
      expect((await user.post('/api/streaming-sessions/initialize', body)).body.remainingCredits).toBe(0);
    };
    const admin = service.direct.as('admin', { role: 'admin' });
    const [held, rich, few] = [await lowUser(), await lowUser(), await lowUser()];
    await hold(held, 75_000);
    await admin.post('/api/credits/allocate', { userId: rich.userId, credits: 5000 });
    await hold(rich, 4_241_000);
    await few.post('/api/usage/charge', { requestId: 'rest', modelId: 'unknown-model', tokens: 90_000 });
    await admin.post('/api/credits/allocate', { userId: few.userId, credits: 10 });
    const page = await as(freshUser(), 'supervisor');
    const troubled = page.getByRole('list', { name: 'Users needing help' });
    const itemOf = ({ userId }: { userId: string }) =>
      troubled.getByRole('listitem').filter({ hasText: userId });
    await itemOf(few).getByText('10 credits left').waitFor();
    await itemOf(held).getByText('90 credits held').waitFor();
    expect(await itemOf(rich).count()).toBe(0);
    for (const user of [held, rich]) await user.post('/api/streaming-sessions/abort', { sessionId: 'all' });
  });

  it('lets a supervisor allocate, and neither deduct nor revoke', async () => {
    const user = await userWithCredits(service.direct, 500);
    const page = await as(freshUser(), 'supervisor', `/users/${user.userId}`);
    await page.getByRole('button', { name: 'Allocate' }).waitFor();
    await page.getByText('Allocations', { exact: true }).waitFor();
    expect(await page.getByRole('button', { name: /Deduct|Revoke/ }).count()).toBe(0);
  });
});

describe('a user in trouble', () => {
  it('is found and explained, gets credits, and works again', async () => {
    const user = await userWithCredits(service.direct, 10);
    const { userId } = user;
    await user.post('/api/usage/charge', {
      requestId: 'too-much',
      modelId: 'unknown-model',
      tokens: 40_000,
      onInsufficient: 'review',
    });
    const admin = service.direct.as('admin', { role: 'admin' });
    await admin.post('/api/credits/deduct', { userId, credits: await balanceOf(userId), notes: 'misuse' });
    const page = await as('admin', 'admin');

    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Users' }).click();
    await page.keyboard.press('/');
    await page.keyboard.type(userId);
    await page.getByRole('link', { name: userId }).click();
    await page.getByText('No credits are available').waitFor();
    await page.getByText('deducted the last').waitFor();
    await page.getByText('could not be paid in full').waitFor();

    await page.getByRole('button', { name: 'Allocate' }).first().click();
    await dialog(page).getByLabel('Credits', { exact: true }).fill('5,000');
    await dialog(page).getByText(`${userId} will have 5,000 credits (now 0)`).waitFor();
    await dialog(page).getByRole('button', { name: 'Allocate', exact: true }).dblclick();
    await page.getByRole('status').getByText('Allocated').waitFor();
    await expect.poll(() => page.getByTestId('available').innerText()).toBe('5,000');
    expect(await balanceOf(userId)).toBe(5000);
    expect((await user.post('/api/credits/check', { requiredCredits: 100 })).body.hasSufficientCredits).toBe(
      true,
    );
  });

  it('gets credits once when the answer was lost and the form is submitted again', async () => {
    const { userId } = await userWithCredits(service.direct, 100);
    const page = await as('admin', 'admin', `/users/${userId}`);
    let losses = 1;
    await page.route('**/api/credits/allocate', async (route) => {
      await route.fetch();
      if (losses-- > 0) await route.abort();
      else await route.fallback();
    });
    await page.getByRole('button', { name: 'Allocate' }).first().click();
    await dialog(page).getByLabel('Credits', { exact: true }).fill('700');
    await dialog(page).getByRole('button', { name: 'Allocate', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('did not respond').waitFor();
    expect(await balanceOf(userId)).toBe(800);
    await dialog(page).getByRole('button', { name: 'Allocate', exact: true }).click();
    await page.getByRole('status').getByText('Allocated').waitFor();
    expect(await balanceOf(userId)).toBe(800);
  });

  it('loses a revoked allocation and deducted credits after the form has said so; a refusal is shown', async () => {
    const { userId } = await userWithCredits(service.direct, 300);
    const page = await as('admin', 'admin', `/users/${userId}`);
    await page.getByRole('button', { name: 'Deduct' }).click();
    await dialog(page).getByLabel('Credits', { exact: true }).fill('1000');
    await dialog(page).getByLabel('Reason').fill('test');
    await dialog(page).getByRole('button', { name: 'Deduct', exact: true }).click();
    await dialog(page).getByRole('alert').waitFor();
    expect(await balanceOf(userId)).toBe(300);
    await dialog(page).getByLabel('Credits', { exact: true }).fill('120');
    await dialog(page).getByText('will have 180 credits (now 300)').waitFor();
    await dialog(page).getByRole('button', { name: 'Deduct', exact: true }).click();
    await expect.poll(() => balanceOf(userId)).toBe(180);
    await page.getByRole('button', { name: /^Revoke allocation/ }).click();
    await dialog(page).getByText('loses the 180 credits').waitFor();
    await dialog(page).getByRole('button', { name: 'Revoke allocation' }).click();
    await page.getByText('No credits are available').waitFor();
    expect(await balanceOf(userId)).toBe(0);
  });
});

describe('sessions', () => {
  it('appear when they start, grow as they run, and disappear when they end', async () => {
    const user = await userWithCredits(service.direct, 1000);
    const page = await as('admin', 'admin', '/sessions');
    await page.getByText('No active sessions').waitFor();
    const sessionId = freshUser('session');
    await user.post('/api/streaming-sessions/initialize', {
      sessionId,
      modelId: 'unknown-model',
      estimatedTokens: 100_000,
    });
    const row = page.getByRole('row').filter({ hasText: sessionId });
    await row.getByText('0 / 120').waitFor();
    await user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 50_000 });
    await row.getByText('50 / 120').waitFor();
    await row.getByText('live').waitFor();
    await user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 60_000 });
    await page.getByText('No active sessions').waitFor();
  });

  it('are counted beside what they hold, read together, and the forecast is read again too', async () => {
    const user = await userWithCredits(service.direct, 100);
    await user.post('/api/streaming-sessions/initialize', {
      ...{ sessionId: 'held', modelId: 'unknown-model', estimatedTokens: 5000 },
    });
    const page = await as('admin', 'admin', `/users/${user.userId}`);
    await page.getByText('by 1 session').waitFor();
    let answerSessions = () => {};
    let answerBalance = () => {};
    const heldUp = async (address: RegExp, until: Promise<void>) => {
      await page.route(address, (route) => until.then(() => route.continue()));
      await page.waitForRequest(address);
    };
    await Promise.all([
      heldUp(/\/streaming-sessions\/active\//, new Promise((done) => (answerSessions = done))),
      heldUp(/\/credits\/balance\//, new Promise((done) => (answerBalance = done))),
    ]);
    await user.post('/api/streaming-sessions/abort', { sessionId: 'held', tokensGenerated: 0 });
    const read = page.waitForResponse(/\/streaming-sessions\/active\//);
    answerSessions();
    expect(await (await read).json()).toEqual([]);
    await page.evaluate(
      () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
    );
    expect(await page.getByText('by 0 sessions').count()).toBe(0);
    answerBalance();
    await page.getByText('by 0 sessions').waitFor();
    await page.waitForRequest(/\/credits\/forecast\//);
  });
});

describe('prices', () => {
  it('change after a preview of what changes, and the old rule becomes history', async () => {
    const modelId = freshUser('vendor/model:v1');
    const admin = service.direct.as('admin', { role: 'admin' });
    const cost = { providerCostPerThousandTokens: '0.0015' };
    await admin.post('/api/pricing', { modelId, pricePerThousandTokens: '2', ...cost });
    const payer = freshUser('payer');
    await service.direct.as(payer).get('/api/credits/balance');
    await admin.post('/api/credits/allocate', { userId: payer, credits: 100 });
    for (const requestId of ['one', 'two'])
      await service.direct.as(payer).post('/api/usage/charge', { requestId, modelId, tokens: 4000 });
    const page = await as('admin', 'admin', `/prices/${encodeURIComponent(modelId)}`);
    await page.getByText('current', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'New rule' }).click();
    await dialog(page).getByLabel('Blended', { exact: true }).fill('2.x');
    await dialog(page).getByText('Enter a number such as 0.25').waitFor();
    await dialog(page).getByLabel('Blended', { exact: true }).fill('2.5');
    const preview = dialog(page).getByRole('region', { name: 'What changes' });
    await preview.getByText('+25.0 %').waitFor();
    expect(await preview.getByText('fallback price').count()).toBe(0);
    const effect = dialog(page).getByRole('region', { name: 'Last 30 days at this price' });
    await effect.getByText('20', { exact: true }).first().waitFor();
    const rows = await Promise.all(
      (await effect.getByRole('row').all()).map((row) => row.locator('th, td').allInnerTexts()),
    );
    expect(rows).toEqual([
      ['2 calls', 'Charged', 'At this price', 'Change'],
      ['Credits', '16', '20', '+25.0 %'],
      ['Income', '$0.02', '$0.02', '+25.0 %'],
      ['Provider cost', '$0.01', '$0.01', '+0.0 %'],
      ['Margin', '<$0.01', '$0.01', '+100.0 %'],
      [payer, '16', '20', '+25.0 %'],
    ]);
    await keepScreenshot(page, 'price-effect');
    // The same price in another unit.
    await dialog(page).getByRole('button', { name: 'per million' }).click();
    expect(await dialog(page).getByLabel('Blended', { exact: true }).inputValue()).toBe('2500');
    expect(await dialog(page).getByLabel('Blended cost').inputValue()).toBe('1.5');
    await dialog(page).getByLabel('Until').fill('2031-01-01T00:00');
    await preview.getByText('From 1 Jan, 00:00:00 the built-in or fallback price applies').waitFor();
    await dialog(page).getByLabel('Until').fill('');
    await dialog(page).getByRole('button', { name: 'Create rule' }).click();
    await page.getByText('past', { exact: true }).waitFor();
    const { body } = await admin.get<{ current: { pricePerThousandTokens: string } }>(
      `/api/pricing/${encodeURIComponent(modelId)}`,
    );
    expect(body.current.pricePerThousandTokens).toBe('2.5');
    await page.getByRole('button', { name: /^End now: rule/ }).click();
    await dialog(page).getByText('built-in or fallback price applies').waitFor();
    await dialog(page).getByRole('button', { name: 'End now' }).click();
    await page.getByText('No price set.').waitFor();
  });

  it('begin on a day that is chosen with one click', async () => {
    const modelId = freshUser('planned');
    const page = await as('admin', 'admin', `/prices/${modelId}`);
    await page.getByRole('button', { name: 'New rule' }).click();
    await dialog(page).getByLabel('Blended', { exact: true }).fill('3');
    await dialog(page).getByRole('button', { name: 'Next Monday' }).click();
    await dialog(page).getByRole('button', { name: 'Create rule' }).click();
    await page.getByText('upcoming', { exact: true }).waitFor();
    const { body } = await service.direct
      .as('admin', { role: 'admin' })
      .get<{ upcoming: { effectiveFrom: string }[] }>(`/api/pricing/${modelId}`);
    const from = new Date(body.upcoming[0]?.effectiveFrom ?? '');
    expect([from.getDay(), from.getHours(), from.getMinutes()]).toEqual([1, 0, 0]);
    expect(from.getTime() - Date.now()).toBeLessThan(7.1 * 86_400_000);
  });

  it('are imported from a file after a dry run has shown what would change', async () => {
    const modelId = freshUser('imported');
    const file = {
      [modelId]: {
        litellm_provider: 'openai',
        mode: 'chat',
        input_cost_per_token: 1.5e-7,
        output_cost_per_token: 6e-7,
      },
      'a-picture-model': { litellm_provider: 'openai', mode: 'image_generation' },
    };
    const admin = service.direct.as('admin', { role: 'admin' });
    const ruleOf = async () =>
      (await admin.get<{ current: object | null }>(`/api/pricing/${modelId}`)).body.current;
    const page = await as('admin', 'admin', '/prices');
    await page.getByRole('button', { name: 'Import' }).click();
    const input = dialog(page).getByLabel('File');
    await input.setInputFiles({
      name: 'prices.json',
      mimeType: 'application/json',
      buffer: Buffer.from('[]'),
    });
    await dialog(page).getByRole('alert').getByText('not a JSON map of models').waitFor();
    await input.setInputFiles({
      name: 'prices.json',
      mimeType: 'application/json',
      buffer: Buffer.from(JSON.stringify(file)),
    });
    await dialog(page).getByText('prices.json: 2 models').waitFor();
    await dialog(page).getByRole('button', { name: 'Preview changes' }).click();
    await dialog(page).getByText('a-picture-model').waitFor();
    await dialog(page)
      .getByRole('region', { name: 'Price changes' })
      .getByRole('row', { name: `${modelId} 0.72 0.18 0.72 new` })
      .waitFor();
    expect(await ruleOf()).toBeNull();
    await dialog(page).getByRole('button', { name: 'Import 1 price' }).click();
    await dialog(page).getByRole('heading', { name: 'Imported' }).waitFor();
    expect(await ruleOf()).toMatchObject({ pricePerThousandTokens: '0.72' });
  });
});

describe('API keys', () => {
  it('are shown once and copied, rotated with an overlap, and revoked', async () => {
    const page = await as(freshUser(), 'user', '/api-keys');
    await page.getByText('No API keys yet').waitFor();
    await page.getByRole('button', { name: 'New key' }).click();
    await dialog(page).getByLabel('Name').fill('nightly report');
    await dialog(page).getByLabel('Read the balance').check();
    await dialog(page).getByRole('button', { name: 'Create key' }).click();
    const key = await dialog(page).getByTestId('created-key').innerText();
    expect(await dialog(page).getByTestId('key-example').innerText()).toBe(
      `curl -H 'X-API-Key: ${key}' ${service.url}/api/credits/balance`,
    );
    // It cannot be read again: a key that is pressed by mistake does not take it away.
    for (let time = 0; time < 3; time++) await page.keyboard.press('Escape');
    expect(await dialog(page).getByTestId('created-key').innerText()).toBe(key);
    await dialog(page).getByRole('button', { name: 'Copy', exact: true }).click();
    await dialog(page).getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(key);
    const use = (text: string) =>
      service.direct.withHeaders({ 'x-api-key': text }).get('/api/credits/balance');
    expect((await use(key)).status).toBe(200);
    await dialog(page).getByRole('button', { name: 'Done' }).click();
    expect(await page.content()).not.toContain(key);

    await page.getByRole('button', { name: 'Rotate nightly report' }).click();
    await dialog(page).getByLabel('Old key expires').selectOption({ label: 'immediately' });
    await dialog(page).getByRole('button', { name: 'Rotate', exact: true }).click();
    const next = await dialog(page).getByTestId('created-key').innerText();
    await dialog(page).getByRole('button', { name: 'Close without copying' }).click();
    expect([(await use(key)).status, (await use(next)).status]).toEqual([401, 200]);

    await page.getByRole('button', { name: 'Revoke nightly report' }).click();
    await dialog(page).getByText('This cannot be undone').waitFor();
    await dialog(page).getByRole('button', { name: 'Revoke key' }).click();
    await page.getByText(/^Key “nightly report” .+ revoked$/).waitFor();
    expect((await use(next)).status).toBe(401);
  });
});

describe('the review', () => {
  const charge = async (count: number, credits: number) => {
    const user = await userWithCredits(service.direct, credits);
    for (let call = 0; call < count; call++) {
      await user.post('/api/usage/charge', {
        requestId: `review-${call}`,
        modelId: 'unknown-model',
        tokens: 5000,
        billingStatus: 'needs_review',
      });
    }
    return user;
  };

  it('bills one call and waives several at once', async () => {
    const user = await charge(4, 100);
    const page = await as('admin', 'admin', '/review');
    const rows = page.getByRole('row').filter({ hasText: user.userId });
    await expect.poll(() => rows.count()).toBe(4);
    await rows.first().getByRole('button', { name: /^Bill/ }).click();
    await dialog(page).getByText('5 credits will be deducted').waitFor();
    await dialog(page).getByRole('button', { name: 'Bill', exact: true }).click();
    await expect.poll(() => rows.count()).toBe(3);
    expect(await balanceOf(user.userId)).toBe(95);
    for (const row of await rows.all()) await row.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Waive 3' }).click();
    await dialog(page).getByText('15 credits will be waived').waitFor();
    await dialog(page).getByRole('button', { name: 'Waive', exact: true }).click();
    await expect.poll(() => rows.count()).toBe(0);
    expect(await balanceOf(user.userId)).toBe(95);
  });

  it('of one user is opened from that user, and says what they have before it takes any', async () => {
    const user = await charge(2, 100);
    await charge(1, 100);
    const page = await as('admin', 'admin', `/users/${user.userId}`);
    await page.getByRole('main').getByRole('link', { name: 'Review' }).click();
    const rows = page.getByRole('row').filter({ has: page.getByRole('button', { name: /^Bill/ }) });
    await expect.poll(() => rows.getByRole('link').allInnerTexts()).toEqual([user.userId, user.userId]);
    await page.getByLabel('Select all shown').check();
    await page.getByRole('button', { name: 'Bill 2' }).waitFor();
    await rows.first().getByRole('button', { name: /^Bill/ }).click();
    await dialog(page).getByText(`5 credits will be deducted from ${user.userId}, who has 100`).waitFor();
    await dialog(page).getByRole('button', { name: 'Bill', exact: true }).click();
    await page.getByRole('status').getByText(`Billed 5 credits to ${user.userId}`).waitFor();
    await expect.poll(() => rows.count()).toBe(1);
  });

  it('goes on after a call that is refused, and names it', async () => {
    const poor = await charge(3, 1);
    const rich = await charge(1, 100);
    const page = await as('admin', 'admin', '/review');
    for (const { userId } of [poor, rich]) {
      const rows = page.getByRole('row').filter({ hasText: userId });
      await rows.first().waitFor();
      for (const row of await rows.all()) await row.getByRole('checkbox').check();
    }
    await page.getByRole('button', { name: 'Bill 4' }).click();
    await dialog(page).getByRole('button', { name: 'Bill', exact: true }).click();
    await dialog(page).getByText('1 call settled, 3 refused').waitFor();
    // The same reason is shown once, however many calls it refused.
    expect(await dialog(page).getByRole('listitem').allInnerTexts()).toEqual([
      expect.stringContaining(`3 calls by ${poor.userId}, 15 credits: `),
    ]);
    expect([await balanceOf(poor.userId), await balanceOf(rich.userId)]).toEqual([1, 95]);
  });
});

describe('usage', () => {
  it('is filtered, looked at in detail, and saved as CSV', async () => {
    const user = await userWithCredits(service.direct, 100);
    await user.post('/api/usage/record', { service: 'search', operation: 'index', credits: 3 });
    await user.post('/api/usage/record', {
      service: 'chat',
      operation: 'a-model',
      credits: 4,
      metadata: { ticket: 'T-77' },
    });
    const page = await as(user.userId, 'user', '/usage');
    await page.getByRole('button', { name: /index/ }).waitFor();
    await page.locator('#filter-service-list option[value=chat]').waitFor({ state: 'attached' });
    await page.getByLabel('Service', { exact: true }).fill('chat');
    await page.getByRole('button', { name: /index/ }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /a-model/ }).click();
    await dialog(page).getByText('T-77').waitFor();
    await page.keyboard.press('Escape');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    const csv = Buffer.concat(chunks).toString();
    expect(csv.trim().split('\n')).toHaveLength(2);
    expect(csv).toContain('a-model');
  });

  it('of any length is drawn a screen at a time and read on while it is scrolled', async () => {
    const userId = freshUser();
    await service.direct.as(userId).get('/api/credits/balance');
    await service.direct.owner.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status)
       SELECT $1::varchar, $1::varchar, now() - n * interval '1 second', 'chat', 'model-' || n, 1, '{}', 'recorded' FROM generate_series(1, 3000) n`,
      [userId],
    );
    const page = await as(userId, 'user', '/usage');
    const table = page.getByRole('region', { name: 'Usage records, newest first' });
    await table.getByText('model-1', { exact: true }).waitFor();
    await readToEnd(table, '3,000 records');
    await table.getByText('model-3000', { exact: true }).waitFor();
    expect(await table.getByRole('row').count()).toBeLessThan(80);
    expect(await page.locator('tr[aria-rowindex="3001"]').count()).toBe(1);
    // They were written past the roll-up, which the audit at the end would find.
    await service.direct.owner.query('DELETE FROM usage_records WHERE account_id = $1', [userId]);
  });
});

describe('the command palette', () => {
  it('finds a person by any word, a model, a page and an action, by the keyboard alone', async () => {
    const user = await userWithCredits(service.direct, 100);
    const word = freshUser('w').slice(2, 10);
    const named = service.direct.as(user.userId, { username: `Rita ${word}`, email: `${word}@example.com` });
    expect((await named.get('/api/credits/balance')).status).toBe(200);
    const page = await as('admin', 'admin', '/sessions');
    const find = async (text: string, first: string) => {
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox').fill(text);
      await page.locator('[role=option][aria-selected=true]', { hasText: first }).waitFor();
      await page.keyboard.press('Enter');
      await dialog(page)
        .first()
        .waitFor({ state: text === 'price rule' ? 'visible' : 'detached' });
    };
    await find(`${word} rit`, `Rita ${word}`);
    await page.getByRole('heading', { name: `Rita ${word}` }).waitFor();
    expect(page.url()).toContain(`/users/${user.userId}`);
    await find('titan express', 'amazon.titan-text-express-v1');
    await page.getByRole('heading', { name: 'amazon.titan-text-express-v1' }).waitFor();
    await find('quaran', 'Quarantine');
    await page.getByRole('heading', { name: 'Quarantine' }).waitFor();
    await find('price rule', 'New price rule');
    await page.getByRole('dialog', { name: /price rule/i }).waitFor();
  });

  it('finds for a user only what is theirs', async () => {
    const { userId } = await userWithCredits(service.direct, 100);
    const page = await as(freshUser(), 'user');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill(userId);
    await page.getByText(`Nothing found for “${userId}”`).waitFor();
  });

  it('has a map of keys; single characters go to pages, and can be turned off', async () => {
    const page = await as('boss', 'supervisor');
    await page.keyboard.press('?');
    await dialog(page).getByText('Go to Users').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.type('gu');
    await page.getByRole('heading', { name: 'Users' }).waitFor();
    await page.getByLabel('Search users').fill('?gs');
    expect(await dialog(page).count()).toBe(0);
    await page.getByRole('heading', { name: 'Users' }).click();
    await page.keyboard.press('?');
    await dialog(page).getByLabel('Use keys that are a single character').uncheck();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Users' }).click();
    await page.keyboard.type('gs?/');
    expect([await dialog(page).count(), page.url()]).toEqual([0, expect.stringContaining('/users')]);
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').waitFor();
  });
});

describe('the page itself', () => {
  it('is usable by keyboard: search, dialogs, and the focus goes back where it was', async () => {
    const { userId } = await userWithCredits(service.direct, 100);
    const page = await as('admin', 'admin', `/users/${userId}`);
    const button = page.getByRole('button', { name: 'Allocate' }).first();
    const field = dialog(page).getByLabel('Credits', { exact: true });
    const openByKey = async () => {
      await page.keyboard.press('Enter');
      await expect.poll(() => field.evaluate((element) => element === document.activeElement)).toBe(true);
    };
    await page.getByTestId('available').waitFor();
    await button.focus();
    await openByKey();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    await expect.poll(() => button.evaluate((element) => element === document.activeElement)).toBe(true);
    await openByKey();
    await page.keyboard.type('7');
    // Enter does nothing while the form is incomplete.
    await dialog(page).getByText('will have 107 credits').waitFor();
    await page.keyboard.press('Enter');
    await expect.poll(() => page.getByTestId('available').innerText()).toBe('107');
    await expect.poll(() => button.evaluate((element) => element === document.activeElement)).toBe(true);
  });

  it.each(['', '/usage'])('%s keeps its period while a date is typed or is refused', async (path) => {
    const page = await as('admin', 'admin', path);
    await page.getByRole('button', { name: 'Custom' }).click();
    const [start, end] = [page.getByLabel('Start date (UTC)'), page.getByLabel('End date (UTC)')];
    const today = await end.inputValue();
    const from = () => new URL(page.url()).searchParams.get('from');
    const before = from() as string;
    const [, month, day] = before.split('-') as [string, string, string];
    await start.focus();
    // The same day of another year: until its last digit it is none that may be chosen.
    await page.keyboard.type(`${month}${day}202`);
    expect(await start.inputValue()).toBe(`0202-${month}-${day}`);
    expect(from()).toBe(before);
    await page.keyboard.type('5');
    await expect.poll(from).toBe(`2025-${month}-${day}`);
    await end.fill('2024-12-31');
    await page.getByText('Couldn’t load data').first().waitFor();
    await page.getByRole('heading', { level: 1 }).waitFor();
    await end.fill(today);
    await page.getByText('Couldn’t load data').first().waitFor({ state: 'detached' });
  });

  it('shows that there is no such page for an address that cannot be decoded', async () => {
    const page = await as('admin', 'admin', '/users/%zz');
    await page.getByText('There is no such page').waitFor();
    await page.getByRole('link', { name: 'Go to the overview' }).click();
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  });

  it('contacts only the service, and its content security policy allows nothing else', async () => {
    const { page, complaints } = await visit(browser, service.url);
    const origins = new Set<string>();
    page.on('request', (request) => origins.add(new URL(request.url()).origin));
    await page.reload();
    await signIn(page, 'admin');
    await page.getByRole('heading', { name: 'Needs attention' }).waitFor();
    expect([...origins]).toEqual([service.url]);
    expect(complaints).toEqual([]);
    await page.evaluate(() => {
      const script = document.createElement('script');
      try {
        script.text = 'document.title = "taken over"';
      } catch {
        // Trusted Types have stopped it even earlier.
      }
      document.body.append(script);
    });
    expect(await page.title()).not.toBe('taken over');
    expect(
      await page.evaluate(() =>
        fetch('https://example.com/').then(
          () => 'reached',
          () => 'refused',
        ),
      ),
    ).toBe('refused');
  });

  it('reports that the service is away, reconnects by itself, and shows what has changed meanwhile', async () => {
    const { userId } = await userWithCredits(service.direct, 100);
    const page = await as('admin', 'admin', `/users/${userId}`);
    await expect.poll(() => page.getByTestId('available').innerText()).toBe('100');
    await service.stop();
    await page.getByText('The service cannot be reached').waitFor();
    expect(await page.getByTestId('available').innerText()).toBe('100');
    await service.direct
      .as('admin', { role: 'admin' })
      .post('/api/credits/allocate', { userId, credits: 11 });
    await service.start();
    await expect.poll(() => page.getByTestId('available').innerText(), { timeout: 30_000 }).toBe('111');
    await page.getByText('The service cannot be reached').waitFor({ state: 'detached' });
    // The ledger is read only when there is a reason.
    await page
      .getByRole('region', { name: /^Ledger/ })
      .getByText('+11')
      .waitFor();
  });
});

// Only where the service has a stream of events; elsewhere the console works without.
describe.runIf(operationOf('GET', '/api/events/stream') !== undefined)('what happens', () => {
  it('is shown as it happens, also after the service was away', async () => {
    const user = await userWithCredits(service.direct, 5);
    const page = await as('admin', 'admin');
    const activity = page.getByRole('list', { name: 'Events' });
    await activity.waitFor();
    const review = (requestId: string, who: HttpClient) =>
      who.post('/api/usage/charge', {
        requestId,
        modelId: 'unknown-model',
        tokens: 5000,
        billingStatus: 'needs_review',
      });
    await review('seen', user);
    await activity.getByRole('link', { name: user.userId }).first().waitFor();
    await page.getByRole('status').getByText(`${user.userId} has a call that needs review`).waitFor();
    await service.stop();
    const other = await userWithCredits(service.direct, 5);
    await review('missed', other);
    await service.start();
    await activity.getByRole('link', { name: other.userId }).first().waitFor({ timeout: 40_000 });
  });
});
