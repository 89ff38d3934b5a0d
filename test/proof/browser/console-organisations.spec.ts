import { text } from 'node:stream/consumers';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleService, launchBrowser, signIn, startConsole, visit } from '../../support/console.js';
import type { HttpClient } from '../../support/http-client.js';
import { expectSoundBooks, userWithCredits } from '../../support/money.js';
import { organisation, type TestOrganisation } from '../../support/organisations.js';
import { freshUser } from '../../support/service.js';

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
async function as({ userId }: HttpClient, path: string, role = 'user'): Promise<Page> {
  const { page } = await visit(browser, service.url, { path });
  await signIn(page, userId, role);
  return page;
}

const pathOf = ({ id }: TestOrganisation, tab = '') => `/organisations/${encodeURIComponent(id)}${tab}`;
const dialog = (page: Page) => page.getByRole('dialog');
const button = (where: Page | Locator, name: string | RegExp) => where.getByRole('button', { name });
const budgetsIn = (page: Page, unit: string) =>
  page.getByRole('list', { name: `Budgets of ${unit}`, exact: true }).getByRole('listitem');
const MONTHLY = { unit: 'credits', window: 'month' };

/** An organisation with 1,000 credits, the unit Research and Vision below it, and a member in Vision. */
async function acme() {
  const made = await organisation(service.direct);
  await made.allocate(1000);
  const research = await made.unit('Research');
  const vision = await made.unit('Vision', research);
  const member = await made.member('member', { unitId: vision });
  return { ...made, research, vision, user: member };
}

describe('the list of organisations', () => {
  it('has all for supervisors and, for a user, their own with the role and what they may spend', async () => {
    const [mine, other] = [await acme(), await acme()];
    const page = await as(mine.user, '/organisations');
    await page.getByRole('row').filter({ hasText: mine.id }).getByText('member', { exact: true }).waitFor();
    await page.getByRole('row').filter({ hasText: mine.id }).getByText('1,000').waitFor();
    expect(await page.getByText(other.id).count()).toBe(0);
    expect(await button(page, 'New organisation').count()).toBe(0);

    const boss = await as(mine.boss, '/organisations', 'supervisor');
    await boss.getByText(mine.id).waitFor();
    await boss.getByText(other.id).waitFor();
    await button(boss, 'New organisation').click();
    await dialog(boss).getByLabel('Name').fill('Initech & Sons');
    await button(dialog(boss), 'Create organisation').click();
    await boss.getByRole('heading', { name: 'Initech & Sons' }).waitFor();
    await button(boss, 'Allocate').click();
    await dialog(boss).getByLabel('Credits').fill('700');
    await button(dialog(boss), 'Allocate').click();
    await expect.poll(() => boss.getByTestId('available').innerText()).toBe('700');
  });

  it('lets users make organisations where the operator allows it', async () => {
    await service.stop();
    await service.start({ ORGANISATIONS_CREATED_BY: 'any' });
    const page = await as(service.direct.as(freshUser()), '/organisations');
    await button(page, 'New organisation').click();
    await dialog(page).getByLabel('Name').fill('Book club');
    await button(dialog(page), 'Create organisation').click();
    await page.getByRole('heading', { name: 'Book club' }).waitFor();
    await page.getByText('you are its owner ·').waitFor();
    await service.stop();
    await service.start();
  });
});

describe('an organisation that ends, for all or for one', () => {
  it('is archived by an owner or a supervisor, not while credits are held, and then only shown', async () => {
    const org = await acme();
    const admin = await as(await org.member('admin'), pathOf(org));
    await button(admin, 'Rename organisation').waitFor();
    expect(await button(admin, 'Archive organisation').count()).toBe(0);
    expect(await org.start(org.user, 's')).toMatchObject({ status: 201 });
    const page = await as(org.owner, pathOf(org));
    const archive = async (where: Page) => {
      await button(where, 'Archive organisation').click();
      await dialog(where).getByText('can no longer spend from it').waitFor();
      await button(dialog(where), 'Archive organisation').click();
    };
    await archive(page);
    await dialog(page).getByRole('alert').getByText('has active sessions').waitFor();
    await org.finalize(org.user, 's', 1000);
    await button(dialog(page), 'Archive organisation').click();
    await page.getByText('archived', { exact: true }).waitFor();
    await page.getByText('pays for no more calls').waitFor();
    for (const name of [/^Rename/, /^Archive/, /^Leave/, /^New/])
      expect(await button(page, name).count()).toBe(0);

    const other = await acme();
    const boss = await as(other.boss, pathOf(other), 'supervisor');
    await archive(boss);
    await boss.getByText('archived', { exact: true }).waitFor();
    expect(await button(boss, /^Archive|^New/).count()).toBe(0);
    for (const { owner, path } of [org, other])
      expect((await owner.get(path)).body).toMatchObject({ archivedAt: expect.any(String) as string });
  });

  it('is left by a member, and by an owner only when another remains', async () => {
    const org = await acme();
    const leave = async (page: Page) => {
      await button(page, 'Leave organisation').click();
      await button(dialog(page), 'Leave organisation').click();
    };
    const boss = await as(org.boss, pathOf(org), 'supervisor');
    await button(boss, 'Archive organisation').waitFor();
    expect(await button(boss, 'Leave organisation').count()).toBe(0);
    const page = await as(org.user, pathOf(org));
    await leave(page);
    await page.getByRole('heading', { name: 'Organisations' }).waitFor();
    await page.getByText('No organisations').waitFor();
    expect((await org.user.get(org.path)).status).toBe(404);
    const owner = await as(org.owner, pathOf(org));
    await leave(owner);
    await dialog(owner).getByRole('alert').getByText('must keep at least one owner').waitFor();
  });
});

describe('the API keys of an organisation', () => {
  const keysOf = async ({ owner, id }: TestOrganisation) => {
    const { body } = await owner.get<{ items: { name: string; isActive: boolean }[] }>(
      `/api/api-keys?accountId=${id}`,
    );
    return body.items.map(({ name, isActive }) => [name, isActive]);
  };

  it('are made, rotated and revoked by a member, who sees only their own; the organisation pays', async () => {
    const org = await acme();
    await org.owner.post('/api/api-keys', { accountId: org.id, name: 'the owner’s' });
    const page = await as(org.user, pathOf(org, '/keys'));
    await page.getByText('No API keys yet').waitFor();
    await button(page, 'New key').click();
    await dialog(page).getByLabel('Name').fill('notebook');
    await dialog(page).getByLabel('Charge and record calls').check();
    await button(dialog(page), 'Create key').click();
    const key = await dialog(page).getByTestId('created-key').innerText();
    const charged = await service.direct
      .withHeaders({ 'x-api-key': key })
      .post('/api/usage/charge', { requestId: 'by-key', modelId: 'unknown-model', tokens: 1000 });
    expect(charged.body).toMatchObject({ record: { accountId: org.id, userId: org.user.userId } });
    await button(dialog(page), 'Close without copying').click();
    await page.getByText('1 key', { exact: true }).waitFor();
    await button(page, 'Rotate notebook').click();
    await dialog(page).getByLabel('Old key expires').selectOption('immediately');
    await button(dialog(page), 'Rotate').click();
    expect(await dialog(page).getByTestId('created-key').innerText()).not.toBe(key);
    await button(dialog(page), 'Close without copying').click();
    await page.getByText('2 keys', { exact: true }).waitFor();
    await button(page, 'Revoke notebook').click();
    await button(dialog(page), 'Revoke key').click();
    await expect.poll(() => button(page, /^Rotate|^Revoke/).count()).toBe(0);
    expect(await keysOf(org)).toEqual([
      ['notebook', false],
      ['notebook', false],
      ['the owner’s', true],
    ]);
    expect((await org.user.get<{ items: unknown[] }>('/api/api-keys')).body.items).toEqual([]);
  });

  it('are all there for owners, billing people and supervisors; only its maker rotates a key', async () => {
    const org = await acme();
    await org.user.post('/api/api-keys', { accountId: org.id, name: 'notebook' });
    for (const [client, role, buttons] of [
      [org.owner, 'user', ['New key', 'Revoke notebook']],
      [await org.member('billing'), 'user', []],
      [org.boss, 'supervisor', ['Revoke notebook']],
    ] as const) {
      const page = await as(client, pathOf(org, '/keys'), role);
      await page.getByText('1 key', { exact: true }).waitFor();
      for (const name of ['New key', 'Rotate notebook', 'Revoke notebook'] as const)
        expect([role, name, await button(page, name).count()]).toEqual([
          role,
          name,
          (buttons as readonly string[]).includes(name) ? 1 : 0,
        ]);
      if (role !== 'supervisor') continue;
      await button(page, 'Revoke notebook').click();
      await button(dialog(page), 'Revoke key').click();
      await expect.poll(() => keysOf(org)).toEqual([['notebook', false]]);
    }
  });
});

describe('what an organisation spent', () => {
  const charge = (user: HttpClient, accountId: string, requestId: string, more: object = {}) =>
    user.post('/api/usage/charge', {
      ...{ accountId, requestId, modelId: 'unknown-model', tokens: 1000 },
      ...more,
    });

  it('is added up by member and by unit, which lead to their calls', async () => {
    const org = await acme();
    const empty = await as(org.owner, pathOf(org, '/usage'));
    await empty.getByText('No matching usage').waitFor();
    expect(await empty.getByText(/^Spent by/).count()).toBe(0);
    await charge(org.owner, org.id, 'a');
    await charge(org.user, org.id, 'b', { tokens: 2000 });
    const page = await as(org.owner, pathOf(org, '/usage?days=7'));
    const spent = async (one: string) =>
      (
        await page
          .getByRole('region', { name: `Spent by ${one}` })
          .getByRole('row')
          .allInnerTexts()
      )
        .slice(1)
        .map((row) => row.split(/\s*\t\s*/));
    await expect
      .poll(() => spent('member'))
      .toEqual([
        [org.user.userId, '2'],
        [org.owner.userId, '1'],
      ]);
    await expect.poll(() => spent('unit')).toEqual([['Research / Vision', '2']]);
    await page.getByRole('link', { name: 'Research / Vision' }).click();
    await page.getByText('1 record', { exact: true }).waitFor();
    expect(new URL(page.url()).searchParams.get('days')).toBe('7');
    const member = await as(org.user, pathOf(org, '/usage'));
    await member.getByText('1 record', { exact: true }).waitFor();
    expect(await member.getByText(/^Spent by/).count()).toBe(0);
  });

  it('is filtered by member, unit, API key and tag, also for the download and for admins', async () => {
    const org = await acme();
    const made = await org.user.post<{ id: number; key: string }>('/api/api-keys', {
      ...{ accountId: org.id, name: 'notebook', permissions: ['usage:write'] },
    });
    await charge(org.owner, org.id, 'a', { tags: { feature: 'search' } });
    await charge(org.user, org.id, 'b', { tags: { feature: 'chat' } });
    await charge(service.direct.withHeaders({ 'x-api-key': made.body.key }), org.id, 'c');
    for (const [client, role] of [
      [org.owner, 'user'],
      [service.direct.as(freshUser('admin')), 'admin'],
    ] as const) {
      const page = await as(client, pathOf(org, '/usage'), role);
      await page.getByRole('link', { name: 'Filter or download' }).click();
      const records = (count: string) => page.getByText(count, { exact: true }).waitFor();
      const set = async (label: string, text: string) => {
        await page.getByLabel(label, { exact: true }).fill(text);
        await page.getByLabel(label, { exact: true }).press('Enter');
      };
      await records('3 records');
      await set('Member', org.user.userId);
      await records('2 records');
      await set('Tag', 'feature=chat');
      await records('1 record');
      const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'CSV').click()]);
      const lines = (await text(await download.createReadStream())).trim().split(/\r?\n/);
      expect(lines).toHaveLength(2);
      expect(lines[1]).toContain(org.user.userId);
      await button(page, 'Clear filters').click();
      await records('3 records');
      await set('API key', `#${made.body.id}`);
      await records('1 record');
      await button(page, 'Clear filters').click();
      await page.getByLabel('Unit').selectOption({ label: 'Research / Vision' });
      await records('2 records');
      await set('Tag', 'feature=search');
      await page.getByText('No matching usage').waitFor();
    }
  });
});

describe('an admin of an organisation', () => {
  it('adds, moves and deletes units, and adds, changes and removes members', async () => {
    const org = await acme();
    const page = await as(org.owner, pathOf(org));
    await button(page, 'Add unit below: Vision').click();
    await dialog(page).getByLabel('Name').fill('Faces');
    await button(dialog(page), 'Add unit').click();
    await button(page, 'Rename or move: Faces').click();
    await dialog(page).getByLabel('Below').selectOption({ label: 'Research' });
    await dialog(page).getByLabel('Name').fill('Speech');
    await button(dialog(page), 'Save').click();
    await page.getByText('Speech').waitFor();
    const { body } = await org.owner.get<{ items: unknown }>(`${org.path}/units`);
    expect(body.items).toMatchObject([
      { name: 'Research', children: [{ name: 'Speech', children: [] }, { name: 'Vision' }] },
    ]);
    await button(page, 'Delete: Research').click();
    await button(dialog(page), 'Delete unit').click();
    await dialog(page).getByRole('alert').waitFor();
    await page.keyboard.press('Escape');
    await button(page, 'Delete: Speech').click();
    await button(dialog(page), 'Delete unit').click();
    await page.getByText('Speech', { exact: true }).waitFor({ state: 'detached' });

    await page.getByRole('link', { name: 'Members' }).click();
    const carol = freshUser('carol');
    await button(page, 'Add member').click();
    await dialog(page).getByLabel('User').fill(carol);
    await button(dialog(page), 'Add member').click();
    const row = page.getByRole('row').filter({ hasText: carol });
    await button(row, `Change ${carol}`).click();
    await dialog(page).getByLabel('Role').selectOption('billing');
    await dialog(page).getByLabel('Unit').selectOption({ label: 'Research / Vision' });
    await button(dialog(page), 'Save').click();
    await row.getByText('billing').waitFor();
    await row.getByText('Research / Vision').waitFor();
    await button(row, `Remove ${carol}`).click();
    await button(dialog(page), 'Remove member').click();
    await row.waitFor({ state: 'detached' });
  });

  it('makes a budget of a unit, raises it for this period, reads its history and ends it', async () => {
    const org = await acme();
    const page = await as(org.owner, pathOf(org));
    await button(page, 'New budget: Vision').click();
    expect(await dialog(page).getByLabel('Unit').inputValue()).toBe(String(org.vision));
    await dialog(page).getByLabel('Amount').fill('10');
    await dialog(page).getByLabel('Alerts').fill('50, 80');
    await dialog(page).getByLabel('First day of the month').fill('32');
    await dialog(page).getByText('Enter a day from 1 to 31').waitFor();
    expect(await button(dialog(page), 'Create budget').isDisabled()).toBe(true);
    await dialog(page).getByLabel('First day of the month').fill('15');
    await button(dialog(page), 'Create budget').click();
    const [budget] = [budgetsIn(page, 'Vision').first()];
    await budget.getByText('10 credits per month').waitFor();
    expect(await org.start(org.user, 's')).toMatchObject({ status: 201 });
    await budget.getByText('0 used, 4 held, 6 left').waitFor();

    await button(budget, /^Raise/).click();
    await dialog(page).getByLabel('Raise by').fill('5');
    await dialog(page).getByLabel('Reason').fill('The launch');
    await button(dialog(page), 'Raise').click();
    await budget.getByText('11 left · raised from 10').waitFor();
    await button(budget, /^Change/).click();
    await dialog(page).getByLabel('Amount').fill('20');
    await button(dialog(page), /^Counted/).click();
    await button(dialog(page), 'Save').click();
    await budget.getByText('soft').waitFor();
    await budget.getByText('21 left').waitFor();
    await button(budget, /^History/).click();
    await dialog(page).getByText('The launch').waitFor();
    await dialog(page).getByText('months from day 15').waitFor();
    await page.keyboard.press('Escape');
    await button(budget, /^End/).click();
    await button(dialog(page), 'End budget').click();
    await budget.waitFor({ state: 'detached' });
    await org.finalize(org.user, 's', 1000);
  });

  it('sees what the platform set, without controls; a supervisor has them', async () => {
    const org = await acme();
    await org.budget({ ...MONTHLY, scope: 'account', amount: 500 }, org.boss);
    await org.budget({ ...MONTHLY, scope: 'each_member', amount: 50 });
    const controls = (page: Page) =>
      budgetsIn(page, 'Acme')
        .filter({ hasText: 'set by the platform' })
        .getByRole('button')
        .evaluateAll((buttons) => buttons.map((each) => each.getAttribute('title')));
    const page = await as(org.owner, pathOf(org));
    await budgetsIn(page, 'Acme').filter({ hasText: 'Each member: 50 credits' }).waitFor();
    expect(await controls(page)).toEqual(['History']);
    const boss = await as(org.boss, pathOf(org), 'supervisor');
    await budgetsIn(boss, 'Acme').first().waitFor();
    expect(await controls(boss)).toEqual(['History', 'Raise', 'Change', 'End']);
  });
});

describe('who may spend what', () => {
  it('is what is left of each budget of a member, the smallest first, and the most that a call may cost', async () => {
    const org = await acme();
    await org.budget({ ...MONTHLY, scope: 'account', amount: 500 });
    await org.budget({ ...MONTHLY, scope: 'unit', scopeId: String(org.research), amount: 90 });
    await org.budget({ ...MONTHLY, scope: 'each_member', amount: 200 });
    await org.budget({ ...MONTHLY, scope: 'member', scopeId: org.owner.userId, amount: 1 });
    const page = await as(org.owner, pathOf(org, '/members'));
    await button(page, `What ${org.user.userId} may spend`).click();
    await dialog(page).getByText('may cost at most 90 credits: the budget of unit Research').waitFor();
    const budgets = await dialog(page).getByRole('listitem').allInnerTexts();
    expect(budgets.map((text) => text.split('\n')[0])).toEqual([
      'Unit Research: 90 credits per month',
      'Each member: 200 credits per month',
      'Whole account: 500 credits per month',
    ]);
  });
});

describe('a refused call', () => {
  it('is explained by the limit that stood in the way, to the member, to an admin and to a supervisor', async () => {
    const org = await acme();
    await org.budget({ ...MONTHLY, scope: 'unit', scopeId: String(org.vision), amount: 4 });
    expect(await org.start(org.user, 'a')).toMatchObject({ status: 201 });
    expect(await org.start(org.user, 'b')).toMatchObject({ status: 402 });
    const WHY = /nit Research \/ Vision: 0 used and 4 held of 4 credits per month; resets/;
    const member = await as(org.user, pathOf(org));
    await member.getByText(`Every call of ${org.user.userId} is refused.`).waitFor();
    await member.getByRole('list', { name: 'Limits in the way' }).getByText(WHY).waitFor();
    for (const [client, role] of [
      [org.owner, 'user'],
      [org.boss, 'supervisor'],
    ] as const) {
      const page = await as(client, pathOf(org), role);
      await page.getByRole('list', { name: 'What needs attention' }).getByText(WHY).waitFor();
    }
    const boss = await as(org.boss, pathOf(org), 'supervisor');
    const refusals = boss.getByRole('list', { name: 'Refused calls and used-up budgets' });
    await refusals.getByRole('listitem').filter({ hasText: 'limit reached' }).getByText(WHY).waitFor();
    await boss.getByRole('link', { name: 'Overview' }).click();
    const activity = boss.getByRole('list', { name: 'Events' }).getByRole('listitem');
    await activity.filter({ hasText: org.id }).getByText('4 held of 4 credits per month').first().waitFor();
    await org.finalize(org.user, 'a', 1000);
  });
});

describe('the other roles of an organisation', () => {
  it('billing people see all and change nothing; members see their own', async () => {
    const org = await acme();
    await org.budget({ ...MONTHLY, scope: 'unit', scopeId: String(org.vision), amount: 100 });
    await org.budget({ ...MONTHLY, scope: 'member', scopeId: org.owner.userId, amount: 70 });
    for (const user of [org.owner, org.user])
      await user.post('/api/usage/charge', {
        requestId: `of-${user.userId}`,
        accountId: org.id,
        modelId: 'unknown-model',
        tokens: 1000,
      });
    const tabs = (page: Page) =>
      page.getByRole('navigation', { name: 'Account sections' }).getByRole('link').allInnerTexts();

    const billing = await as(await org.member('billing'), pathOf(org));
    await billing.getByText(`Member ${org.owner.userId}: 70 credits per month`).waitFor();
    for (const name of [/^New/, /^Raise/, /^Rename/, /^Archive/, /^Delete/, /^Allocate/])
      expect(await button(billing, name).count()).toBe(0);
    expect(await tabs(billing)).toEqual([
      'Units and budgets',
      'Members',
      'API keys',
      'Allocations and ledger',
      'Usage',
      'Sessions',
    ]);
    await billing.getByRole('link', { name: 'Usage' }).last().click();
    await billing.getByText('2 records').waitFor();
    await billing.getByRole('link', { name: 'Members' }).click();
    await button(billing, `What ${org.user.userId} may spend`).waitFor();
    expect(await button(billing, 'Add member').count()).toBe(0);

    const member = await as(org.user, pathOf(org));
    await member.getByText('Unit Research / Vision: 100 credits per month').waitFor();
    expect(await member.getByText('70 credits').count()).toBe(0);
    expect(await tabs(member)).toEqual(['Your budgets', 'API keys', 'Usage', 'Sessions']);
    await member.getByRole('navigation', { name: 'Account sections' }).getByText('Usage').click();
    await member.getByText('1 record', { exact: true }).waitFor();
    const stranger = await as(service.direct.as(freshUser()), pathOf(org));
    await stranger.getByText('Organisation not found').waitFor();
  });
});

describe('a personal account', () => {
  it('shows its budgets; what a supervisor has set its user does not change', async () => {
    const user = await userWithCredits(service.direct, 1000);
    const boss = service.direct.as(freshUser('boss'), { role: 'supervisor' });
    const page = await as(user, '');
    await button(page, 'New budget').click();
    await dialog(page).getByLabel('Counts').selectOption('sessions');
    await dialog(page).getByLabel('Amount').fill('2');
    await button(dialog(page), 'Create budget').click();
    const budgets = page.getByRole('list', { name: 'Budgets' }).getByRole('listitem');
    await budgets.filter({ hasText: 'Whole account: 2 sessions at once' }).waitFor();
    const helper = await as(boss, `/users/${user.userId}/budgets`, 'supervisor');
    await button(helper, 'New budget').click();
    await dialog(helper).getByLabel('Amount').fill('60');
    await dialog(helper).getByLabel('Time zone').fill('Mars/Olympus');
    await button(dialog(helper), 'Create budget').click();
    await dialog(helper).getByText('the IANA name of a time zone').waitFor();
    await dialog(helper).getByLabel('Time zone').fill('Europe/Berlin');
    await button(dialog(helper), 'Create budget').click();
    const set = budgets.filter({ hasText: 'Whole account: 60 credits per month' });
    await set.getByText('set by the platform').waitFor();
    expect(await button(set, /^Raise|^Change|^End/).count()).toBe(0);
  });
});
