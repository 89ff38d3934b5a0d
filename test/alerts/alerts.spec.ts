import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AlertsDeliverer } from '../../src/alerts/alerts.deliverer.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { holdUp } from '../support/hold-up.js';
import { MailServer } from '../support/mail-server.js';
import { patch } from '../support/organisations.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';

const RULES = '/api/alert-rules';

let mail: MailServer;
let slack: WebhookReceiver;
let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  mail = await new MailServer().start();
  slack = await new WebhookReceiver().start();
  service = await startService({
    SMTP_URL: mail.url,
    SMTP_FROM: 'Accounting <accounting@example.com>',
    WEBHOOK_ALLOW_HTTP: 'on',
    WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on',
    WEBHOOK_TIMEOUT_MS: '1000',
    WEBHOOK_SECRETS_KEY: 'a-key-for-secrets-of-the-tests-0123',
  });
  root = service.as(freshUser('root'), { role: 'admin' });
});
afterAll(async () => {
  await service.close();
  await mail.close();
  await slack.stop();
});
beforeEach(async () => {
  await service.owner.query('DELETE FROM alert_rules');
  mail.received.length = 0;
  mail.refusal = undefined;
  mail.refused = undefined;
  slack.received.length = 0;
  slack.reply = () => ({ status: 200, body: 'ok' });
});

const EMAIL = { name: 'Top up', channel: 'email', recipients: ['ops@example.com'], groupSeconds: 0 };
const slackRule = () => ({
  name: 'Top up',
  channel: 'slack',
  url: `${slack.url}/T0/B0/secret-path`,
  groupSeconds: 0,
});

async function rule(body: object): Promise<number> {
  const made = await root.post<{ id: number }>(RULES, body);
  expect(made.status, made.text).toBe(201);
  return made.body.id;
}

/** Emits one published event of an account for each type. */
async function happen(accountId: string, ...types: string[]): Promise<void> {
  for (const type of types)
    await service.owner.query(
      `INSERT INTO event_outbox (account_id, type, occurred_at, data) VALUES ($1, $2, clock_timestamp(), $3)`,
      [accountId, type, { availableCredits: 7 }],
    );
  await service.owner.query('SELECT events_publish(1000)');
}

const deliver = (instance = service) => instance.get(AlertsDeliverer).deliver();
/** As if so much time had passed: what has a time limit is due now, and what happened is as much older. */
async function pass(seconds: number): Promise<void> {
  await service.owner.query('UPDATE alert_rules SET due_at = due_at - make_interval(secs => $1)', [seconds]);
  await service.owner.query('UPDATE events SET occurred_at = occurred_at - make_interval(secs => $1)', [
    seconds,
  ]);
}
const state = async (id: number) => (await root.get<Record<string, unknown>>(`${RULES}/${id}`)).body;
const header = (text: string, name: string) =>
  new RegExp(`^${name}: (.*(?:\\r\\n[ \\t].*)*)`, 'im').exec(text)?.[1]?.replace(/\r\n\s/g, ' ');
/** What is not ASCII comes as an encoded word (RFC 2047). */
const subjectOf = (text: string) =>
  (header(text, 'Subject') ?? '')
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?UTF-8\?([BQ])\?([^?]*)\?=/gi, (_, form: string, word: string) =>
      form.toUpperCase() === 'B'
        ? Buffer.from(word, 'base64').toString('utf8')
        : Buffer.from(
            word
              .replaceAll('_', ' ')
              .replace(/=([0-9A-F]{2})/gi, (_hex, code: string) => String.fromCharCode(parseInt(code, 16))),
            'latin1',
          ).toString('utf8'),
    );
const texts = () => slack.received.map(({ text }) => (JSON.parse(text) as { text: string }).text);

describe('an alert', () => {
  it('comes by e-mail through a real SMTP server, to each recipient', async () => {
    await rule({
      ...EMAIL,
      recipients: ['ops@example.com', 'boss@example.com'],
      eventTypes: ['credits.low'],
    });
    await happen('alice', 'credits.low');
    await deliver();
    expect(mail.received).toHaveLength(1);
    const [message] = mail.received;
    expect(message).toMatchObject({
      from: 'accounting@example.com',
      to: ['ops@example.com', 'boss@example.com'],
    });
    expect(header(message?.text ?? '', 'Subject')).toBe('Top up: alice is low on credits');
    expect(message?.text).toContain('UTC  alice is low on credits (7 credits available)');
    await deliver();
    expect(mail.received).toHaveLength(1);
  });

  it('comes to a Slack-compatible webhook as text without markup', async () => {
    await rule(slackRule());
    await happen('a<b>&c', 'credits.exhausted');
    await deliver();
    expect(slack.received).toHaveLength(1);
    expect(Object.keys(JSON.parse(slack.received[0]?.text ?? ''))).toEqual(['text']);
    expect(texts()[0]).toContain('a&lt;b&gt;&amp;c has no credits left');
    expect(slack.received[0]?.headers).not.toHaveProperty('webhook-signature');
  });

  it('is about the events and the account of its rule, and about what happens after it was made', async () => {
    await happen('alice', 'credits.low');
    await rule({ ...EMAIL, eventTypes: ['credits.low'], accountId: 'alice' });
    await happen('alice', 'credits.recovered');
    await happen('bob', 'credits.low');
    await deliver();
    expect(mail.received).toEqual([]);
    await happen('alice', 'credits.low');
    await deliver();
    expect(mail.received).toHaveLength(1);
  });

  it('is one message for a burst', async () => {
    await rule({ ...EMAIL, groupSeconds: 60 });
    for (let index = 0; index < 30; index++)
      await happen(`user-${index}`, 'credits.low', 'credits.exhausted');
    await deliver();
    expect(mail.received).toEqual([]);
    await pass(61);
    await happen('late', 'credits.low');
    await deliver();
    expect(mail.received).toHaveLength(1);
    const text = mail.received[0]?.text ?? '';
    expect(subjectOf(text)).toContain('61 events: 31 × credits.low, 30 × credits.exhausted');
    expect(text.match(/user-\d+ is low/g)).toHaveLength(10);
    expect(text).toMatch(/(…|=E2=80=A6) and 41 more/);
  });

  it('waits for the end of quiet hours, in the rule’s time zone', async () => {
    // The local time now, in a zone that is hours away from UTC all year.
    const clock = (minutes: number) =>
      new Intl.DateTimeFormat('sv-SE', { timeZone: 'Asia/Tokyo', timeStyle: 'short' }).format(
        new Date(Date.now() + minutes * 60_000),
      );
    const quiet = { timeZone: 'Asia/Tokyo', quietFrom: clock(-90), quietUntil: clock(90) };
    const id = await rule({ ...EMAIL, ...quiet });
    await happen('alice', 'credits.low');
    await deliver();
    await happen('alice', 'credits.exhausted');
    await deliver();
    expect(mail.received).toEqual([]);
    // It is loud for two hours, around now.
    expect(
      (await patch(root, `${RULES}/${id}`, { quietFrom: clock(60), quietUntil: clock(-60) })).status,
    ).toBe(200);
    await deliver();
    expect(mail.received).toHaveLength(1);
    expect(subjectOf(mail.received[0]?.text ?? '')).toContain('2 events');
  });

  it('is tried again with growing pauses, together with what has happened since', async () => {
    const id = await rule(EMAIL);
    await happen('alice', 'credits.low');
    mail.refusal = Object.assign(new Error('try later'), { responseCode: 451 });
    await deliver();
    expect(await state(id)).toMatchObject({ lastError: 'the mail server answered 451', lastSentAt: null });
    await deliver();
    await pass(6);
    await deliver();
    const { rows } = await service.owner.query<{ attempts: number; pause: number }>(
      'SELECT attempts, extract(epoch FROM due_at - now())::float8 AS pause FROM alert_rules',
    );
    expect(rows[0]?.attempts).toBe(2);
    expect(rows[0]?.pause).toBeGreaterThan(20);
    mail.refusal = undefined;
    await happen('bob', 'credits.low');
    await pass(31);
    await deliver();
    expect(mail.received).toHaveLength(1);
    expect(mail.received[0]?.text).toMatch(/alice is low[^]*bob is low/);
    expect(await state(id)).toMatchObject({
      lastError: null,
      failingSince: null,
      lastSentAt: expect.any(String),
    });
  });

  it('is sent once however many instances look', async () => {
    const second = await service.another();
    try {
      await rule(slackRule());
      await happen('alice', 'credits.low');
      // Both have found the rule before either of them takes it.
      await holdUp(
        service,
        'SELECT FROM alert_rules FOR UPDATE',
        [],
        [() => deliver(), () => deliver(second)],
      );
      expect(slack.received).toHaveLength(1);
    } finally {
      await second.close();
    }
  });

  it('is left to the others by an instance without a mail server, for a minute', async () => {
    const bare = await service.another({ SMTP_URL: '', SMTP_FROM: '' });
    try {
      const id = await rule(EMAIL);
      await happen('alice', 'credits.low');
      await deliver(bare);
      expect(await state(id)).toMatchObject({ failingSince: null, lastError: null });
      await deliver();
      expect(mail.received).toHaveLength(1);
      await happen('alice', 'credits.low');
      await pass(61);
      await deliver(bare);
      expect(await state(id)).toMatchObject({ lastError: 'SMTP_URL is not set' });
    } finally {
      await bare.close();
    }
  });

  it('is sent by another instance when the one that has it dies, once its lease has ended', async () => {
    const id = await rule(slackRule());
    await happen('alice', 'credits.low');
    // As the dead one has left it.
    await service.owner.query(
      `UPDATE alert_rules SET lease = gen_random_uuid(), due_at = now() + interval '40 seconds' WHERE id = $1`,
      [id],
    );
    await deliver();
    expect(slack.received).toEqual([]);
    await pass(41);
    await deliver();
    expect(slack.received).toHaveLength(1);
  });

  it('does not hold up the rules of others', async () => {
    await rule(slackRule());
    await rule(EMAIL);
    slack.reply = () => ({ status: 200, isSilent: true });
    await happen('alice', 'credits.low');
    await deliver();
    expect(mail.received).toHaveLength(1);
    slack.reply = () => ({ status: 200 });
    await pass(6);
    await deliver();
    expect(slack.received).toHaveLength(2);
  });
});

describe('a rule that cannot send', () => {
  it('says so when the mail server refuses one of several recipients, until a message has reached all', async () => {
    const id = await rule({ ...EMAIL, recipients: ['ops@example.com', 'boss@example.com'] });
    mail.refused = 'boss@example.com';
    await happen('alice', 'credits.low');
    await deliver();
    expect(mail.received.map(({ to }) => to)).toEqual([['ops@example.com']]);
    expect(await state(id)).toMatchObject({
      failingSince: expect.any(String),
      lastError: 'the mail server refused 1 of 2 recipients',
      lastSentAt: expect.any(String),
    });
    mail.refused = undefined;
    await happen('bob', 'credits.low');
    await deliver();
    expect(mail.received.at(-1)?.to).toHaveLength(2);
    expect(await state(id)).toMatchObject({ failingSince: null, lastError: null });
  });

  it('never delays the others: a mail server that goes on and on, a time zone that PostgreSQL does not know', async () => {
    const tarpit = createServer((socket) => {
      socket.on('error', () => undefined).write('220 mail\r\n');
      socket.once('data', () => {
        const timer = setInterval(() => socket.write('250-X\r\n'), 100);
        socket.once('close', () => clearInterval(timer));
      });
    }).listen(0, '127.0.0.1');
    await once(tarpit, 'listening');
    const { port } = tarpit.address() as AddressInfo;
    const other = await service.another({
      SMTP_URL: `smtp://127.0.0.1:${port}`,
      WEBHOOK_TIMEOUT_MS: '250',
      SWEEP_INTERVAL_SECONDS: '1',
    });
    try {
      const id = await rule(EMAIL);
      await rule({ ...slackRule(), timeZone: 'US/Pacific-New', quietFrom: '03:00', quietUntil: '03:01' });
      await happen('alice', 'credits.low');
      await expect.poll(() => slack.received.length, { timeout: 5000 }).toBe(1);
      await happen('bob', 'credits.low');
      await expect.poll(() => slack.received.length, { timeout: 5000 }).toBe(2);
      await expect
        .poll(async () => (await state(id)).lastError, { timeout: 5000 })
        .toBe('the mail server is too slow');
    } finally {
      await other.close();
      tarpit.close();
    }
  });
});

describe('the rules of /api/alert-rules', () => {
  it('are for admins', async () => {
    for (const role of ['user', 'supervisor'] as const) {
      const client = service.as(freshUser(), { role });
      expect((await client.get(RULES)).status).toBe(403);
      expect((await client.post(RULES, EMAIL)).status).toBe(403);
    }
  });

  it('are listed, changed and deleted, and never show the URL', async () => {
    const id = await rule(slackRule());
    const shown = await root.get<{ items: object[] }>(RULES);
    expect(shown.body.items).toHaveLength(1);
    expect(shown.body.items[0]).toMatchObject({ id, target: new URL(slack.url).origin, recipients: null });
    const changed = await patch(root, `${RULES}/${id}`, {
      name: 'Other',
      url: `${slack.url}/another-secret`,
      isActive: false,
    });
    expect(changed.body).toMatchObject({ name: 'Other', isActive: false });
    expect(`${shown.text}${changed.text}`).not.toMatch(/secret/);
    const { rows } = await service.owner.query<{ url: string }>('SELECT url FROM alert_rules');
    expect(rows[0]?.url).toMatch(/^aes-256-gcm:/);
    const activity = await root.get('/api/activity?limit=2');
    expect(activity.text).not.toMatch(/secret/);
    expect((await root.delete(`${RULES}/${id}`)).status).toBe(204);
    for (const answer of [
      await root.get(`${RULES}/${id}`),
      await patch(root, `${RULES}/${id}`, { name: 'x' }),
      await root.delete(`${RULES}/${id}`),
      await root.post(`${RULES}/${id}/test`),
    ])
      expect([answer.status, answer.body.code]).toEqual([404, 'alert_rule.not_found']);
  });

  it('are listed although their URL was stored under another key, which a test reports', async () => {
    const id = await rule(slackRule());
    const other = await service.another({ WEBHOOK_SECRETS_KEY: 'another-key-for-secrets-of-the-tests' });
    try {
      const admin = other.as(root.userId, { role: 'admin' });
      expect((await admin.get(`${RULES}/${id}`)).body).toMatchObject({ id, target: null });
      expect((await admin.post(`${RULES}/${id}/test`)).body).toMatchObject({
        isDelivered: false,
        error: 'the secret was encrypted with another WEBHOOK_SECRETS_KEY',
      });
      const odd = await admin.post(RULES, { ...slackRule(), url: 'aes-256-gcm:AAAA' });
      expect([odd.status, odd.body.code]).toEqual([422, 'webhook.target_refused']);
    } finally {
      await other.close();
    }
  });

  it('switched on again, begin with the next event', async () => {
    const id = await rule(EMAIL);
    await patch(root, `${RULES}/${id}`, { isActive: false });
    await happen('alice', 'credits.low');
    await patch(root, `${RULES}/${id}`, { isActive: true });
    await deliver();
    expect(mail.received).toEqual([]);
  });

  it('are made once under their idempotency key', async () => {
    const headers = { 'idempotency-key': 'rule' };
    const first = await root.post(RULES, EMAIL, headers);
    const again = await root.post(RULES, EMAIL, headers);
    expect([again.body, again.headers.get('idempotency-replayed')]).toEqual([first.body, 'true']);
  });

  it.each<[field: string, body: object]>([
    ['recipients', { ...EMAIL, recipients: undefined }],
    ['recipients', { ...EMAIL, recipients: ['ops@example.com, boss@example.com'] }],
    ['recipients', { ...EMAIL, recipients: ['a@b\r\nBcc: c@d'] }],
    ['url', { ...EMAIL, channel: 'slack', recipients: undefined }],
    ['url', { ...EMAIL, url: 'https://hooks.example/x' }],
    ['recipients', { ...EMAIL, channel: 'slack', url: 'https://hooks.example/x' }],
    ['channel', { ...EMAIL, channel: 'pigeon' }],
    ['eventTypes', { ...EMAIL, eventTypes: ['credits.gone'] }],
    ['timeZone', { ...EMAIL, timeZone: 'Mars/Olympus' }],
    ['quietFrom', { ...EMAIL, quietFrom: '25:00', quietUntil: '07:00' }],
    ['quietUntil', { ...EMAIL, quietFrom: '22:00' }],
    ['quietUntil', { ...EMAIL, quietFrom: '22:00', quietUntil: '22:00' }],
    ['groupSeconds', { ...EMAIL, groupSeconds: -1 }],
    ['name', { ...EMAIL, name: '' }],
  ])('400: names %s', async (field, body) => {
    const answer: Answer = await root.post(RULES, body);
    expect(answer.status, answer.text).toBe(400);
    expect((answer.body.errors as { field: string }[]).map((error) => error.field)).toContain(field);
  });

  it('422: a target that webhooks may not have, and e-mail without a mail server', async () => {
    const strict = await service.another({
      WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'off',
      SMTP_URL: '',
      SMTP_FROM: '',
    });
    try {
      const admin = strict.as(root.userId, { role: 'admin' });
      const refused = await admin.post(RULES, slackRule());
      expect([refused.status, refused.body.code]).toEqual([422, 'webhook.target_refused']);
      const noMail = await admin.post(RULES, EMAIL);
      expect([noMail.status, noMail.body.code]).toEqual([422, 'alert_rule.no_email']);
      // One that was made before: the settings may be stricter since.
      const id = await rule(slackRule());
      const test = await admin.post(`${RULES}/${id}/test`);
      expect(test.body).toMatchObject({
        isDelivered: false,
        error: expect.stringContaining('private address'),
      });
      expect(slack.received).toEqual([]);
    } finally {
      await strict.close();
    }
  });

  it('409: are 100 at most', async () => {
    await service.owner.query(
      `INSERT INTO alert_rules (name, channel, recipients, group_seconds, seen_event_id, created_by)
       SELECT 'n', 'email', '{a@b}', 0, 0, 'x' FROM generate_series(1, 100)`,
    );
    expect((await root.post(RULES, EMAIL)).body.code).toBe('alert_rule.too_many');
  });
});

describe('POST /api/alert-rules/:id/test', () => {
  it('sends at once, also by a rule that is off, and returns what came of it', async () => {
    const byMail = await rule({ ...EMAIL, isActive: false });
    expect((await root.post(`${RULES}/${byMail}/test`)).body).toMatchObject({
      isDelivered: true,
      error: null,
    });
    expect(header(mail.received[0]?.text ?? '', 'Subject')).toBe('Top up: test');
    const bySlack = await rule(slackRule());
    slack.reply = () => ({ status: 404, body: 'no_service' });
    expect((await root.post(`${RULES}/${bySlack}/test`)).body).toMatchObject({
      isDelivered: false,
      status: 404,
      error: 'answered 404',
    });
    expect(await state(bySlack)).toMatchObject({ lastSentAt: null, lastError: null });
  });

  it('never repeats what the mail server says', async () => {
    const id = await rule(EMAIL);
    mail.refusal = Object.assign(new Error('token=a-password-of-the-tests'), { responseCode: 550 });
    const answer = await root.post(`${RULES}/${id}/test`);
    expect(answer.body).toMatchObject({ isDelivered: false, error: 'the mail server answered 550' });
    expect(answer.text).not.toContain('a-password-of-the-tests');
  });
});
