import { createHash, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createEmbeddedDatabase } from '../../../src/postgres-server/open-database.js';
import { type DatabaseProxy, startDatabaseProxy } from '../../support/database-proxy.js';
import { LitellmProxy } from '../../support/litellm-proxy.js';
import { type DocumentedOperation, exampleBody } from '../../support/operations.js';
import { type CompiledService, compileService, type ServiceProcess } from '../../support/service-process.js';
import { accessToken } from '../../support/tokens.js';

const NAME = `secrets_${randomUUID().replaceAll('-', '')}`;
const marked = (what: string) => `${what}-Never_Shown-${randomUUID()}`;
/** What a person could mistake for harmless in a URL stays as it is; the rest has to be encoded there. */
const SECRETS = {
  jwtSecret: marked('jwt'),
  internalKey: marked('internal'),
  metricsToken: marked('metrics'),
  webhookKey: marked('webhook key'),
  ownerPassword: `${marked('owner')}@:/?#%`,
  runtimePassword: `${marked('runtime')}@:/?#%`,
};
const OTHER_KEY = marked('key-of-another');

let service: CompiledService;
let process: ServiceProcess;
let database: DatabaseProxy;
let litellm: LitellmProxy;
let superuser: pg.Client;
let admin: pg.Client;
let env: Record<string, string>;
/** Everything that callers were answered, headers included. */
const answers: string[] = [];
/** Secrets that came up on the way. */
const met: Record<string, string> = {};

async function createRole(name: string, parent: string, password: string): Promise<void> {
  await admin.query(`CREATE ROLE ${name} LOGIN IN ROLE ${parent} PASSWORD ${admin.escapeLiteral(password)}`);
}

beforeAll(async () => {
  const server = inject('server');
  admin = new pg.Client({ ...server, database: 'postgres' });
  await admin.connect();
  const { ownerUrl } = await createEmbeddedDatabase(server, NAME);
  await createRole(`${NAME}_owner`, 'accounting_owner', SECRETS.ownerPassword);
  await createRole(`${NAME}_app`, 'accounting_app', SECRETS.runtimePassword);
  superuser = new pg.Client({ ...server, database: NAME });
  await superuser.connect();
  database = await startDatabaseProxy(ownerUrl);
  litellm = await new LitellmProxy().start();
  met.litellmMasterKey = litellm.masterKey;
  const url = (role: string, password: string) => {
    const connection = new URL(database.url);
    connection.username = `${NAME}_${role}`;
    connection.password = encodeURIComponent(password);
    return connection.toString();
  };
  env = {
    NODE_ENV: 'production',
    API_DOCS: 'on',
    LOG_LEVEL: 'trace',
    DATABASE_URL: url('app', SECRETS.runtimePassword),
    MIGRATION_DATABASE_URL: url('owner', SECRETS.ownerPassword),
    JWT_ACCESS_SECRET: SECRETS.jwtSecret,
    INTERNAL_API_KEY: SECRETS.internalKey,
    METRICS_TOKEN: SECRETS.metricsToken,
    LITELLM_BASE_URL: litellm.url,
    LITELLM_MASTER_KEY: litellm.masterKey,
    LITELLM_TIMEOUT_MS: '300',
    DB_CONNECT_TIMEOUT_MS: '500',
    SWEEP_INTERVAL_SECONDS: '1',
    WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on',
    EVENT_STREAM_SECONDS: '1',
    WEBHOOK_SECRETS_KEY: SECRETS.webhookKey,
  };
  service = await compileService();
  process = await service.start(env);
});
afterAll(async () => {
  await process?.stop();
  await service?.remove();
  await litellm?.stop();
  await database?.close();
  await superuser?.end();
  await admin.query(`DROP DATABASE ${NAME} WITH (FORCE)`);
  for (const role of ['owner', 'app']) await admin.query(`DROP ROLE ${NAME}_${role}`);
  await admin.end();
});

interface Sent {
  status: number;
  text: string;
}

async function send(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<Sent> {
  const response = await fetch(process.url + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  answers.push(JSON.stringify([...response.headers]), text);
  return { status: response.status, text };
}

function bearer(sub: string, role = 'user', secret = SECRETS.jwtSecret): Record<string, string> {
  const token = accessToken({ sub, role }, {}, secret);
  met[`token of ${sub} as ${role} by ${secret.slice(0, 8)}`] = token;
  met[`signature of ${sub} as ${role} by ${secret.slice(0, 8)}`] = token.split('.')[2] as string;
  return { authorization: `Bearer ${token}` };
}

/** Calls every documented operation as each kind of caller, with the document's examples. */
async function callEverything(callers: Record<string, string>[]): Promise<Set<number>> {
  const { text } = await send('GET', '/api/docs-json', {});
  const { paths, components } = JSON.parse(text) as {
    paths: Record<
      string,
      Record<string, { requestBody?: { content: Record<string, { schema: { $ref?: string } }> } }>
    >;
    components: { schemas: Record<string, DocumentedOperation['body']> };
  };
  const statuses = new Set<number>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { requestBody }] of Object.entries(methods)) {
      const name = requestBody?.content['application/json']?.schema.$ref?.split('/').pop();
      const schema = name === undefined ? undefined : components.schemas[name];
      const body =
        schema &&
        exampleBody({ body: { ...schema, required: schema.required ?? [] } } as DocumentedOperation);
      const filled = path.replace(/\{\w+\}/g, '1');
      for (const caller of callers) {
        const known = requestBody === undefined ? undefined : (body ?? {});
        statuses.add((await send(method.toUpperCase(), filled, caller, known)).status);
      }
    }
  }
  return statuses;
}

/** Every form in which a secret could stand in a text. */
const formsOf = (secret: string) => [
  secret,
  encodeURIComponent(secret),
  JSON.stringify(secret).slice(1, -1),
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  Buffer.from(secret).toString('base64url'),
];

function expectNoneShown(text: string, where: string, secrets: Record<string, string>): void {
  for (const [name, secret] of Object.entries(secrets)) {
    for (const form of formsOf(secret))
      expect(text.includes(form), `${name} is shown in ${where}`).toBe(false);
  }
}

describe('secrets', () => {
  it('are in no log line, error, metric or answer, at the level trace, whatever is asked and whatever fails', async () => {
    const root = bearer('root', 'admin');
    const alice = bearer('alice');
    const internal = { 'x-internal-api-key': SECRETS.internalKey };
    await send('GET', '/api/credits/balance', alice);
    await send('POST', '/api/credits/allocate', root, { userId: 'alice', credits: 1000 });
    // The answer that shows a key is the one place where it may stand.
    for (const gateway of [undefined, 'litellm']) {
      const made = await send('POST', '/api/api-keys', alice, {
        name: 'k',
        permissions: ['credits:read'],
        gateway,
      });
      expect(made.status, made.text).toBe(201);
      answers.splice(-2);
      met[`API key at ${gateway ?? 'home'}`] = (JSON.parse(made.text) as { key: string }).key;
    }
    for (const path of ['', '/1/rotate-secret']) {
      const made = await send('POST', `/api/webhooks${path}`, root, {
        ...(path === '' ? { url: 'https://127.0.0.1:65530/' } : {}),
      });
      expect(made.status, made.text).toBeLessThan(300);
      answers.splice(-2);
      met[`webhook secret${path}`] = (JSON.parse(made.text) as { secret: string }).secret;
    }
    const apiKey = { 'x-api-key': met['API key at home'] as string };
    expect((await send('GET', '/api/credits/balance', apiKey)).status).toBe(200);
    const callers = [
      {},
      alice,
      root,
      internal,
      { ...internal, ...alice },
      apiKey,
      bearer('alice', 'admin', OTHER_KEY),
      { authorization: `Basic ${met['API key at home']}` },
      { 'x-api-key': `${met['API key at home']}x`, 'x-internal-api-key': OTHER_KEY },
    ];
    const statuses = await callEverything(callers);
    for (const status of [200, 201, 400, 401, 403, 404]) expect([...statuses]).toContain(status);
    const verify = { key: met['API key at home'], permission: 'usage:write' };
    await send('POST', '/api/api-keys/verify', internal, verify);
    // In places where they do not belong.
    for (const secret of [SECRETS.internalKey, SECRETS.jwtSecret, met['API key at home'] as string]) {
      const text = encodeURIComponent(secret);
      await send('GET', `/api/credits/balance?token=${text}`, alice);
      await send('POST', '/api/credits/check', alice, `{"requiredCredits": ${secret}`);
      await send(
        'POST',
        '/api/credits/check',
        { ...alice, 'idempotency-key': secret },
        { requiredCredits: 'x' },
      );
      await send('POST', '/api/api-keys/verify', internal, { key: secret, permission: 'none' });
    }
    const metrics = await send('GET', '/metrics', { authorization: `Bearer ${SECRETS.metricsToken}` });
    expect(metrics.status).toBe(200);
    await send('GET', '/metrics', { authorization: `Bearer ${OTHER_KEY}` });

    // A fault of ours, the proxy of LiteLLM in trouble, and a database that is down.
    await superuser.query('ALTER FUNCTION session_hold RENAME TO session_hold_gone');
    const session = { sessionId: 's', modelId: 'm', estimatedTokens: 10 };
    expect((await send('POST', '/api/streaming-sessions/initialize', alice, session)).status).toBe(500);
    await superuser.query('ALTER FUNCTION session_hold_gone RENAME TO session_hold');
    litellm.fail('/key/generate', {
      status: 401,
      body: { error: { message: `bad key ${litellm.masterKey}` } },
    });
    const refused = { name: 'k', permissions: [], gateway: 'litellm' };
    expect((await send('POST', '/api/api-keys', alice, refused)).status).toBeGreaterThanOrEqual(500);
    await litellm.stop();
    expect((await send('POST', '/api/api-keys', alice, refused)).status).toBeGreaterThanOrEqual(500);
    database.cut();
    const down = await callEverything(callers);
    expect([...down]).toContain(503);
    await send('GET', '/metrics', { authorization: `Bearer ${SECRETS.metricsToken}` });
    await expect.poll(() => process.output(), { timeout: 5000 }).toMatch(/sweeper failed and will run again/);
    database.restore();
    expect(await process.stop()).toBe(0);

    // Only the database can make a key of the hash; still it is no one's business.
    for (const [name, secret] of Object.entries(met).filter(([name]) => name.startsWith('API key'))) {
      met[`hash of ${name}`] = createHash('sha256').update(secret).digest('hex');
    }
    const output = process.output();
    expect(output).toContain('"level":20');
    expect(output.match(/"msg":"request/g)?.length).toBeGreaterThan(500);
    const secrets = { ...SECRETS, ...met, otherKey: OTHER_KEY };
    expectNoneShown(output, 'the output of the process', secrets);
    expectNoneShown(answers.join('\n'), 'an answer', secrets);
  });
});

describe('a start that fails', () => {
  const bad = marked('value-that-is-wrong');
  it.each<[string, Record<string, string>]>([
    [
      'a password that the server refuses',
      { DATABASE_URL: `postgresql://accounting_app:${bad}@HOST/postgres` },
    ],
    ['a database that is not there', { DATABASE_URL: `postgresql://accounting_app:${bad}@HOST/nowhere` }],
    ['a host that is not there', { DATABASE_URL: `postgresql://u:${bad}@nowhere.invalid/d` }],
    ['a port without a server', { DATABASE_URL: `postgresql://u:${bad}@127.0.0.1:1/d` }],
    ['another protocol', { DATABASE_URL: `mysql://u:${bad}@h/d` }],
    ['a password with a slash', { DATABASE_URL: `postgresql://u:${bad}/x@h/d` }],
    ['a connection string for a host', { DB_HOST: `postgres://u:${bad}@h/d` }],
    ['a login before the host', { DB_HOST: `u:${bad}@h` }],
    ['a password in its own variable', { DB_HOST: '127.0.0.1', DB_PORT: '1', DB_PASSWORD: bad }],
    ['an owner who is refused', { MIGRATION_DATABASE_URL: `postgresql://u:${bad}@127.0.0.1:1/d` }],
    ['a secret for a public key', { JWT_ACCESS_SECRET: '', JWT_PUBLIC_KEY: bad }],
    [
      'a secret that is too short',
      { INTERNAL_API_KEY: bad.slice(0, 31), JWT_ACCESS_SECRET: bad.slice(0, 31) },
    ],
    [
      'a login in the address of the proxy',
      { LITELLM_BASE_URL: `http://u:${bad}@h`, LITELLM_MASTER_KEY: bad },
    ],
    ['a key with spaces', { LITELLM_BASE_URL: 'http://h', LITELLM_MASTER_KEY: `${bad} ${bad}` }],
    [
      'a login in the address of the signing keys',
      { JWT_ACCESS_SECRET: '', JWT_JWKS_URI: `https://u:${bad}@h/keys` },
    ],
    ['a database that another variable speaks of', { DATABASE_URL: '', POSTGRES_PASSWORD: bad }],
    ['a variable that is not ours', { DB_PASSWROD: bad }],
    ['a login in an origin', { CORS_ORIGIN: `https://u:${bad}@h` }],
  ])('says what is wrong and no secret: %s', async (_, wrong) => {
    const { host, port } = inject('server');
    const given = Object.fromEntries(
      Object.entries(wrong).map(([name, value]) => [name, value.replace('HOST', `${host}:${port}`)]),
    );
    const { DATABASE_URL, MIGRATION_DATABASE_URL, ...rest } = env;
    const urls = 'DB_HOST' in wrong ? {} : { DATABASE_URL, MIGRATION_DATABASE_URL };
    const alone = 'DATABASE_URL' in wrong ? { MIGRATION_DATABASE_URL: '' } : {};
    const ended = await service.run({ ...rest, ...urls, ...alone, ...given } as Record<string, string>);
    expect(ended.exitCode).toBe(1);
    expect(ended.output.trim()).not.toBe('');
    expectNoneShown(ended.output, 'the message', { bad, part: bad.slice(0, 31), ...SECRETS, ...met });
  });
});
