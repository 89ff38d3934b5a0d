import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from './env.js';
import { VERSION } from './version.js';

const BASE = { NODE_ENV: 'test', JWT_ACCESS_SECRET: 'a-secret', DATABASE_URL: 'postgresql://h/d' };
const PRODUCTION = { ...BASE, NODE_ENV: 'production', JWT_ACCESS_SECRET: 'f0e1d2c3b4a5968778695a4b3c2d1e0f' };

const SIGN_IN = {
  JWT_ACCESS_SECRET: '',
  JWT_JWKS_URI: 'https://sso.example.com/keys',
  OIDC_ISSUER: 'https://sso.example.com',
  OIDC_CLIENT_ID: 'console',
};

function problemsOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return '';
}

describe('the configuration', () => {
  it('has the documented defaults', () => {
    expect(loadConfig(BASE)).toMatchObject({
      port: 3001,
      logLevel: 'info',
      corsOrigins: '*',
      database: { poolSize: 20 },
      internalApiKey: undefined,
      rateLimit: { max: 6000, windowSeconds: 60 },
      sessions: { leaseSeconds: 900, bufferPercent: 20, holdQuantile: 0.8 },
      creditsPerUsd: 1000,
      unpricedModelPolicy: 'fallback',
      meteringCallers: 'any',
      organisationsCreatedBy: 'supervisors',
      jwt: { algorithms: ['HS256'] },
      events: { lowThreshold: 100, creditsExpiringDays: 3, keysExpiringDays: 7, retentionDays: 30 },
      webhooks: { allowsHttp: false, allowsPrivateAddresses: false, timeoutMilliseconds: 10_000 },
    });
  });

  it.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '1e3'],
    ['NODE_ENV', 'staging'],
    ['LOG_LEVEL', 'loud'],
    ['CORS_ORIGIN', 'example.com'],
    ['CORS_ORIGIN', 'https://example.com/path'],
    ['DATABASE_URL', 'mysql://h/d'],
    ['DATABASE_URL', 'nonsense'],
    ['DATABASE_URL', 'postgresql://a,,b/d'],
    ['DATABASE_URL', 'postgresql://a,b/d?target_session_attrs=any'],
    ['DATABASE_READ_URL', 'postgresql://a,b/d'],
    ['MIGRATION_DATABASE_URL', 'nonsense'],
    ['DB_POOL_SIZE', '0'],
    ['DB_STATEMENT_TIMEOUT_MS', '1'],
    ['DB_CONNECT_TIMEOUT_MS', 'soon'],
    ['INTERNAL_API_KEY', 'short'],
    ['METRICS_TOKEN', 'short'],
    ['RATE_LIMIT_MAX', '0'],
    ['RATE_LIMIT_WINDOW_SECONDS', '0'],
    ['SESSION_LEASE_SECONDS', '0'],
    ['SESSION_BUFFER_PERCENT', '1001'],
    ['HOLD_QUANTILE', '0.49'],
    ['HOLD_QUANTILE', '1'],
    ['HOLD_QUANTILE', '90'],
    ['SWEEP_INTERVAL_SECONDS', '4000'],
    ['CREDITS_LOW_THRESHOLD', '-1'],
    ['CREDITS_EXPIRING_DAYS', '366'],
    ['API_KEYS_EXPIRING_DAYS', 'soon'],
    ['EVENT_RETENTION_DAYS', '0'],
    ['EVENT_STREAMS_MAX', '0'],
    ['EVENT_STREAM_SECONDS', '0'],
    ['WEBHOOK_ALLOW_HTTP', 'true'],
    ['WEBHOOK_ALLOW_PRIVATE_ADDRESSES', 'yes'],
    ['WEBHOOK_TIMEOUT_MS', '99'],
    ['WEBHOOK_SECRETS_KEY', 'short'],
    ['CREDITS_PER_USD', '0.5'],
    ['UNPRICED_MODEL_POLICY', 'guess'],
    ['METERING_CALLERS', 'none'],
    ['ORGANISATIONS_CREATED_BY', 'admins'],
    ['SHOW_PROVIDER_COST_TO_USERS', 'supervisors'],
    ['REQUEST_TIMEOUT_SECONDS', '0'],
    ['JWT_CLOCK_TOLERANCE_SECONDS', '61'],
    ['JWT_JWKS_URI', 'ftp://keys'],
    ['JWT_AUDIENCE', ' , ', { JWT_TOKEN_TYPE_CLAIM: 'off' }],
    ['OIDC_ISSUER', 'http://sso.example.com'],
    ['OIDC_ISSUER', 'https://sso.example.com/?realm=x'],
    ['OIDC_CLIENT_ID', ''],
    ['OIDC_CLIENT_SECRET', 'short'],
    ['OIDC_SCOPE', 'profile email'],
    ['OIDC_PARAMETERS', 'audience=x&redirect_uri=https://evil.example'],
    ['OIDC_PARAMETERS', 'state=fixed'],
    ['OIDC_SESSION_HOURS', '0'],
    ['PUBLIC_URL', 'http://accounting.example.com'],
    ['PUBLIC_URL', 'https://accounting.example.com/console'],
    ['PUBLIC_URL', 'https://user@accounting.example.com'],
    ['PUBLIC_URL', '', { NODE_ENV: 'production' }],
    ['JWT_JWKS_URI', ''],
  ] as [string, string, Record<string, string>?][])(
    'stops the start and names %s when it is "%s"',
    (name, value, more) => {
      const base = /^(OIDC|PUBLIC|JWT_JWKS_URI$)/.test(name) ? { ...BASE, ...SIGN_IN } : BASE;
      expect(problemsOf({ ...base, ...more, [name]: value })).toMatch(new RegExp(`\\b${name}\\b`));
    },
  );

  it('of a provider needs its issuer, a client there, its keys, and an address of this machine in development', () => {
    const { signIn, jwt, warnings } = loadConfig({ ...BASE, ...SIGN_IN, JWT_AUDIENCE: 'one, two' });
    expect(signIn).toMatchObject({ publicUrl: 'http://localhost:3001', sessionHours: 12, parameters: {} });
    expect(jwt).toMatchObject({
      issuer: SIGN_IN.OIDC_ISSUER,
      audiences: ['one', 'two'],
      algorithms: ['RS256', 'ES256'],
    });
    expect(jwt.tokenType).toEqual({ claim: 'type', value: 'access' });
    expect(warnings).toEqual([]);
    expect(loadConfig(BASE).signIn).toBeUndefined();
  });

  it.each([
    ['typ=Bearer', { claim: 'typ', value: 'Bearer' }],
    ['token_use', { claim: 'token_use', value: 'access' }],
    ['https://a.example/?x=1=y', { claim: 'https://a.example/?x=1', value: 'y' }],
    ['off', undefined],
  ])('knows access tokens by JWT_TOKEN_TYPE_CLAIM=%s', (claim, tokenType) => {
    const { jwt } = loadConfig({ ...BASE, JWT_AUDIENCE: 'a', JWT_TOKEN_TYPE_CLAIM: claim });
    expect(jwt.tokenType).toEqual(tokenType);
  });

  it('warns where tokens of other applications, or ID tokens, would be accepted', () => {
    expect(loadConfig({ ...BASE, ...SIGN_IN }).warnings.join()).toContain('JWT_AUDIENCE');
    const own = { JWT_AUDIENCE: SIGN_IN.OIDC_CLIENT_ID, JWT_TOKEN_TYPE_CLAIM: 'off' };
    expect(loadConfig({ ...BASE, ...SIGN_IN, ...own }).warnings.join()).toContain('ID tokens');
  });

  it('reports all that is wrong at once', () => {
    const message = problemsOf({ ...BASE, PORT: 'x', LOG_LEVEL: 'x', DB_POOL_SIZE: 'x' });
    for (const name of ['PORT', 'LOG_LEVEL', 'DB_POOL_SIZE']) expect(message).toContain(name);
  });

  it('never repeats a secret', () => {
    const message = problemsOf({
      ...PRODUCTION,
      JWT_ACCESS_SECRET: 'secret-1',
      INTERNAL_API_KEY: 'secret-2',
      DATABASE_URL: 'mysql://user:secret-3@h/d',
    });
    expect(message).toContain('JWT_ACCESS_SECRET');
    expect(message).not.toMatch(/secret-\d/);
  });

  it('in production wants a way to verify tokens, and a secret of 32 characters', () => {
    expect(problemsOf({ ...PRODUCTION, JWT_ACCESS_SECRET: '' })).toContain('JWT_ACCESS_SECRET');
    expect(problemsOf({ ...PRODUCTION, JWT_ACCESS_SECRET: 'x'.repeat(31) })).toContain('JWT_ACCESS_SECRET');
    expect(problemsOf({ ...PRODUCTION, INTERNAL_API_KEY: 'x'.repeat(31) })).toContain('INTERNAL_API_KEY');
    expect(problemsOf(PRODUCTION)).toBe('');
  });

  it.each([
    'x'.repeat(32),
    'change-me-change-me-change-me-12345',
    'CHANGE_ME_0123456789abcdefghijklmnop',
    'secretsecretsecretsecretsecretsecret',
    'password-password-password-password',
    'my-super-secret-jwt-key-1234567890',
    'your-secret-key-goes-here-please-now',
    '12345678901234567890123456789012',
    '0123456789abcdef0123456789abcdef',
    'abababbabababababababababababababab',
    'a-string-secret-at-least-256-bits-long',
    'your-256-bit-secret-your-256-bit-secret',
    'this-is-a-very-long-secret-key-for-jwt',
    'this-is-a-very-long-secret-key-12345',
    'TODO: put a real secret in here pls',
    '.env.example value: see below 12345',
    '${JWT_ACCESS_SECRET_FROM_VAULT_PATH}',
    '$JWT_ACCESS_SECRET_0123456789abcdefg',
    '/run/secrets/jwt_access_secret_file_1',
    'file:///etc/accounting/secret-of-tokens',
    '{{ .Values.accounting.jwtAccessSecret }}',
    'arn:aws:secretsmanager:eu-west-1:1:secret:jwt',
    'op://production/accounting/jwt-access-key',
    'vault:kv/data/accounting#jwtAccessKey',
    'awssm://accounting/production/jwt-access',
    'ref+vault://accounting/production#/jwt',
    'projects/7/secrets/accounting-jwt/versions/1',
    '@Microsoft.KeyVault(SecretUri=https://x)',
    'supersecretpasswordforproduction2026',
    'ThisIsMySuperSecretJwtSigningKey2026!',
    'MySecretPasswordForTheAccountingTeam1',
    'abcdefghijklmnopqrstuvwxyz0123456789',
    'zyxwvutsrqponmlkjihgfedcba9876543210',
    'qwertyuiopasdfghjklzxcvbnm123456',
    'aaaaaaaabbbbbbbbccccccccdddddddd1234efg',
    'correct-horse-battery-staple-correct',
  ])('in production refuses a secret that is none, and does not repeat it: %s', (weak) => {
    for (const name of ['JWT_ACCESS_SECRET', 'INTERNAL_API_KEY', 'METRICS_TOKEN', 'WEBHOOK_SECRETS_KEY']) {
      const message = problemsOf({ ...PRODUCTION, [name]: weak });
      expect(message).toContain(`${name} must`);
      expect(message).not.toContain(weak);
      if (!weak.includes(' ')) expect(problemsOf({ ...BASE, [name]: weak })).toBe('');
    }
  });

  it('in production takes a random secret that says what it is for', () => {
    for (const prefix of ['jwt-secret-', 'my secret: ', 'example_', 'test/']) {
      for (const text of [randomBytes(16).toString('hex'), '8b3457a243c1f9cd2751612006871027']) {
        const secret = prefix + text;
        expect(problemsOf({ ...PRODUCTION, JWT_ACCESS_SECRET: secret }), secret).toBe('');
      }
    }
  });

  it.each(['INTERNAL_API_KEY', 'METRICS_TOKEN'])('refuses a %s that a header cannot hold', (name) => {
    for (const wrong of ['ä', '\u2011', ' ', '\t', '\u0000', '🔑']) {
      const secret = `b1946ac92492d2347c${wrong}6235b4d2611184`;
      expect(problemsOf({ ...BASE, [name]: secret })).toContain(`${name} must be printable`);
    }
  });

  it('in production warns that certificates are not checked', () => {
    const warningsOf = (env: object, value: string) =>
      loadConfig({ ...env, NODE_TLS_REJECT_UNAUTHORIZED: value }).warnings;
    expect(warningsOf(PRODUCTION, '0')).toEqual([expect.stringContaining('NODE_TLS_REJECT_UNAUTHORIZED')]);
    expect(warningsOf(PRODUCTION, '1')).toEqual([]);
    expect(warningsOf(BASE, '0')).toEqual([]);
  });

  it('takes DATABASE_URL for a pooler when there is a direct one, and then names no statements', () => {
    const direct = 'postgresql://h:5432/d';
    const namesIn = (env: object) => loadConfig({ ...BASE, ...env }).database.namesStatements;
    expect(namesIn({})).toBe(true);
    expect(namesIn({ DATABASE_DIRECT_URL: direct })).toBe(false);
    expect(namesIn({ DATABASE_DIRECT_URL: direct, DB_NAMED_STATEMENTS: 'on' })).toBe(true);
    const { DATABASE_URL: _, ...rest } = BASE;
    expect(problemsOf({ ...rest, DATABASE_DIRECT_URL: direct })).toContain(
      'DATABASE_URL (or DB_HOST) is required when DATABASE_DIRECT_URL is set',
    );
  });

  it('warns of migrations in another database than the service uses, with both names', () => {
    const warningsOf = (migrated: string, env: object = {}) =>
      loadConfig({ ...BASE, ...env, MIGRATION_DATABASE_URL: `postgresql://o:hidden-5@h/${migrated}` })
        .warnings;
    expect(warningsOf('d')).toEqual([]);
    const [warning, ...others] = warningsOf('other');
    expect(warning).toBe(
      'MIGRATION_DATABASE_URL names the database "other", and DATABASE_URL (or DB_NAME) "d": migrations would not reach the database that the service uses',
    );
    expect(others).toEqual([]);
    expect(warningsOf('other', { DATABASE_URL: undefined, DB_HOST: 'h' })[0]).toContain('"accounting_db"');
  });

  it('in production refuses one secret for two purposes', () => {
    const names = ['JWT_ACCESS_SECRET', 'INTERNAL_API_KEY', 'METRICS_TOKEN', 'WEBHOOK_SECRETS_KEY'];
    for (const [index, name] of names.entries())
      for (const other of names.slice(index + 1)) {
        const secret = randomBytes(32).toString('hex');
        const message = problemsOf({ ...PRODUCTION, [name]: secret, [other]: secret });
        expect(message).toMatch(`must not be the same as`);
        for (const each of [name, other]) expect(message).toContain(each);
        expect(message).not.toContain(secret);
      }
  });

  it.each([
    'postgres:app:hidden-4@db/acc',
    'postgres:/app:hidden-4@db/acc',
    'postgres:///app:hidden-4@db/acc',
    'postgresql://app:1234/hidden-4@db',
    'postgresql://app:1234/hidden-4@db/acc',
    'postgresql://app:1234,hidden-4/more@db/acc',
    'postgresql://app:1234#hidden-4@db/acc',
    'postgresql://app:1234?hidden-4@db/acc',
    'postgresql://app%3Ahidden-4@db/acc',
    'postgresql://',
    'postgresql:///acc',
    'postgresql://db',
    'postgresql://db/',
    'postgresql://db/acc/more',
  ])('refuses a database address that hides a password where it is shown: %s', (url) => {
    for (const name of ['DATABASE_URL', 'MIGRATION_DATABASE_URL']) {
      const message = problemsOf({ ...BASE, [name]: url });
      expect(message).toContain(`${name} must have the form`);
      expect(message).not.toContain('hidden-4');
    }
  });

  it.each([
    'postgres://app:p%40ss%3Aword@db.example.com:6543/acc?sslmode=require',
    'postgresql://app:word@[::1]/acc',
    'POSTGRESQL://db/acc',
    'postgresql://app:word@a:5432,b:5432/acc?target_session_attrs=read-write',
    'postgresql:///acc?host=/run/postgresql&user=app&password=word',
  ])('takes the database address %s', (url) => {
    expect(loadConfig({ ...BASE, DATABASE_URL: url }).database.url).toBe(url);
  });

  it('in production takes secrets of random bytes', () => {
    for (let round = 0; round < 200; round++)
      for (const encoding of ['hex', 'base64', 'base64url'] as const)
        expect(problemsOf({ ...PRODUCTION, INTERNAL_API_KEY: randomBytes(32).toString(encoding) })).toBe('');
  });

  const { DATABASE_URL: _, ...NO_DATABASE } = PRODUCTION;
  const EMBEDDED = { ...NO_DATABASE, EMBEDDED_POSTGRES_DIR: '/nowhere/postgres' };

  it('in production starts the embedded server only where it is chosen', () => {
    expect(problemsOf(NO_DATABASE)).toMatch(/DATABASE_URL .* EMBEDDED_POSTGRES_DIR/);
    expect(loadConfig(EMBEDDED).database.url).toBeUndefined();
    expect(problemsOf({ ...EMBEDDED, DATABASE_URL: ' ' })).toContain('DATABASE_URL is set and empty');
    expect(
      loadConfig({ ...EMBEDDED, DB_POOL_SIZE: '5', DB_REPORT_POOL_SIZE: '2' }).database.url,
    ).toBeUndefined();
  });

  it.each([
    'DB_URL',
    'DB_NAME',
    'DB_PASSWORD',
    'POSTGRES_HOST',
    'POSTGRES_URL',
    'PGHOST',
    'PGDATABASE',
    'pghost',
    'ACCOUNTING_DATABASE_URL',
  ])('in production starts no embedded server beside %s, which speaks of another database', (name) => {
    for (const env of [NO_DATABASE, EMBEDDED]) {
      const message = problemsOf({ ...env, [name]: 'hidden-2' });
      expect(message).toMatch(new RegExp(`\\b${name}\\b`));
      expect(message).not.toContain('hidden-2');
    }
    if (!name.startsWith('DB_U')) expect(problemsOf({ ...PRODUCTION, [name]: 'hidden-2' })).toBe('');
  });

  it.each([
    ['DB_HOSTNAME', 'DB_HOST'],
    ['DB_PASSWROD', 'DB_PASSWORD'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['DATABSE_URL', 'DATABASE_URL'],
    ['database_url', 'DATABASE_URL'],
    ['DATABASE_URl', 'DATABASE_URL'],
    ['EMBEDDED_POSTGRES_DIRECTORY', 'EMBEDDED_POSTGRES_DIR'],
    ['MIGRATION_DATABASE_URI', 'MIGRATION_DATABASE_URL'],
  ])('in production does not start with %s, and names %s', (name, nearest) => {
    const said = `${name} is not a variable of this service; the nearest is ${nearest}`;
    expect(problemsOf({ ...PRODUCTION, [name]: 'hidden-3' })).toContain(said);
    expect(problemsOf({ ...PRODUCTION, [name]: 'hidden-3' })).not.toContain('hidden-3');
    expect(loadConfig({ ...BASE, [name]: 'hidden-3' }).warnings).toEqual([said]);
  });

  it.each([
    ['WEBHOOK_ALLOW_HTP', 'WEBHOOK_ALLOW_HTTP'],
    ['RATE_LIMIT_MAXIMUM', 'RATE_LIMIT_MAX'],
    ['METERING_CALLER', 'METERING_CALLERS'],
    ['metering_callers', 'METERING_CALLERS'],
    ['INTERNAL_APIKEY', 'INTERNAL_API_KEY'],
    ['INTERNAL_KEY', 'INTERNAL_API_KEY'],
    ['SESSION_MAX_AGE', 'SESSION_MAX_AGE_SECONDS'],
    ['REQUEST_TIMEOUT', 'REQUEST_TIMEOUT_SECONDS'],
    ['LITELLM_BASEURL', 'LITELLM_BASE_URL'],
    ['OTEL_SERVICE_NAMES', 'OTEL_SERVICE_NAME'],
    ['JWKS_URI', 'JWT_JWKS_URI'],
    ['JWKS_URL', 'JWT_JWKS_URI'],
  ])('starts with %s and a warning that names %s', (name, nearest) => {
    const said = `${name} is not a variable of this service; the nearest is ${nearest}`;
    expect(loadConfig({ ...PRODUCTION, [name]: 'x' }).warnings).toEqual([said]);
    expect(problemsOf({ ...PRODUCTION, PORT: 'x', [name]: 'x' })).toContain(said);
  });

  it('says nothing about variables of others, nor about its own', () => {
    const documented = [...readFileSync('.env.example', 'utf8').matchAll(/^# ([A-Z][A-Z_]+)=/gm)];
    expect(documented.length).toBeGreaterThan(40);
    const own = Object.fromEntries(documented.map(([, name]) => [name as string, '']));
    delete own.DATABASE_URL;
    const others = {
      PATH: '/bin',
      SESSION_MANAGER: 'x',
      LOG_FORMAT: 'x',
      LITELLM_SALT_KEY: 'x',
      OTEL_RESOURCE_ATTRIBUTES: 'x',
      DB_SERVICE_HOST: '10.0.0.1',
      DB_PORT_5432_TCP_ADDR: '10.0.0.1',
      WEBHOOK_PORT: 'tcp://10.0.0.1:443',
      POSTGRES_PORT_5432_TCP: 'tcp://10.0.0.1:5432',
    };
    for (const env of [PRODUCTION, EMBEDDED])
      expect(loadConfig({ ...own, ...others, ...env }).warnings).toEqual([]);
  });

  it('leaves metrics and API documents open in development, closed in production, and both to decide', () => {
    const METRICS_TOKEN = 'b1946ac92492d2347c6235b4d2611184';
    const decided = (env: object) => {
      const { metricsAccess, hasApiDocs } = loadConfig({ ...env });
      return [metricsAccess, hasApiDocs];
    };
    expect(decided(BASE)).toEqual(['open', true]);
    expect(decided(PRODUCTION)).toEqual(['off', false]);
    expect(decided({ ...PRODUCTION, METRICS_TOKEN })).toEqual(['token', false]);
    expect(decided({ ...PRODUCTION, METRICS_ACCESS: 'open', API_DOCS: 'on' })).toEqual(['open', true]);
    expect(decided({ ...PRODUCTION, METRICS_TOKEN, METRICS_ACCESS: 'off' })).toEqual(['off', false]);
    expect(decided({ ...BASE, METRICS_ACCESS: 'off', API_DOCS: 'off' })).toEqual(['off', false]);
    expect(problemsOf({ ...PRODUCTION, METRICS_ACCESS: 'token' })).toContain('METRICS_TOKEN is required');
    expect(problemsOf({ ...BASE, METRICS_TOKEN, METRICS_ACCESS: 'open' })).toContain('METRICS_TOKEN');
    expect(problemsOf({ ...BASE, METRICS_ACCESS: 'internal' })).toContain('METRICS_ACCESS');
    expect(problemsOf({ ...BASE, API_DOCS: 'yes' })).toContain('API_DOCS');
  });

  it('takes one way to verify tokens, not two: the weaker would decide', () => {
    expect(problemsOf({ ...BASE, JWT_JWKS_URI: 'https://auth/keys' })).toContain('JWT_JWKS_URI');
    const { jwt } = loadConfig({ ...BASE, JWT_ACCESS_SECRET: '', JWT_JWKS_URI: 'https://auth/keys' });
    expect(jwt.algorithms).toEqual(['RS256', 'ES256']);
  });

  it.each([
    ['https://auth.example.com/keys', {}, ''],
    ['http://127.0.0.1:9/keys', {}, ''],
    ['http://[::1]/keys', {}, ''],
    ['http://localhost/keys', {}, ''],
    ['http://auth/keys', { JWT_JWKS_ALLOW_HTTP: 'on' }, ''],
    ['http://auth/keys', {}, 'JWT_JWKS_ALLOW_HTTP'],
    ['http://127.evil.example/keys', {}, 'JWT_JWKS_ALLOW_HTTP'],
    ['http://localhost.example.com/keys', {}, 'JWT_JWKS_ALLOW_HTTP'],
    ['https://user:hidden-1@auth/keys', {}, 'must have no user'],
  ])('takes signing keys by TLS or from this machine: %s with %j', (uri, more, problem) => {
    const message = problemsOf({ ...BASE, JWT_ACCESS_SECRET: '', JWT_JWKS_URI: uri, ...more });
    expect(message).toContain(problem);
    expect(message === '').toBe(problem === '');
    expect(message).not.toContain('hidden-1');
  });

  it('wants the internal key where only services may meter', () => {
    expect(problemsOf({ ...BASE, METERING_CALLERS: 'service' })).toContain('INTERNAL_API_KEY');
  });

  it('takes no maximum age of sessions that is shorter than their lease', () => {
    const lease = { ...BASE, SESSION_LEASE_SECONDS: '600' };
    expect(problemsOf({ ...lease, SESSION_MAX_AGE_SECONDS: '599' })).toContain('SESSION_MAX_AGE_SECONDS');
    expect(problemsOf({ ...lease, SESSION_MAX_AGE_SECONDS: '600' })).toBe('');
    expect(problemsOf({ ...BASE, SESSION_MAX_AGE_SECONDS: '2592001' })).toContain('SESSION_MAX_AGE_SECONDS');
    expect(loadConfig(BASE).sessions.maximumAgeSeconds).toBe(86_400);
  });

  it('wants a database for the service where one for migrations is named', () => {
    const env = { ...BASE, DATABASE_URL: '', MIGRATION_DATABASE_URL: 'postgresql://h/d' };
    expect(problemsOf(env)).toContain('DATABASE_URL');
  });

  it('makes a connection string of DB_*, whatever characters the password has', () => {
    const parts = {
      DB_HOST: 'db',
      DB_PORT: '6543',
      DB_NAME: 'books',
      DB_USER: 'me',
      DB_PASSWORD: 'p@ss:w/rd%',
    };
    const { url } = loadConfig({ ...BASE, DATABASE_URL: '', ...parts }).database;
    const parsed = new URL(url as string);
    expect([parsed.host, parsed.pathname, parsed.username]).toEqual(['db:6543', '/books', 'me']);
    expect(decodeURIComponent(parsed.password)).toBe('p@ss:w/rd%');
  });

  it('in development makes a secret once and keeps it where only its user can read it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'accounting-config-'));
    const env = { NODE_ENV: 'development', EMBEDDED_POSTGRES_DIR: join(directory, 'data', 'postgres') };
    const [first, second] = [loadConfig(env), loadConfig(env)];
    expect(first.jwt.accessSecret).toBe(second.jwt.accessSecret);
    expect(first.jwt.accessSecret?.length).toBeGreaterThanOrEqual(32);
    expect(statSync(join(directory, 'data', 'jwt-access-secret')).mode & 0o777).toBe(0o600);
  });
});

it('reports the version that package.json has', () => {
  expect(VERSION).toBe((JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version);
});
