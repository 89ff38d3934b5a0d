import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from './env.js';
import { VERSION } from './version.js';

const BASE = { NODE_ENV: 'test', JWT_ACCESS_SECRET: 'a-secret', DATABASE_URL: 'postgresql://h/d' };
const PRODUCTION = { ...BASE, NODE_ENV: 'production', JWT_ACCESS_SECRET: 'x'.repeat(32) };

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
      sessions: { leaseSeconds: 900, bufferPercent: 20 },
      creditsPerUsd: 1000,
      unpricedModelPolicy: 'fallback',
      meteringCallers: 'any',
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
    ['METERING_CALLERS', 'nobody'],
    ['REQUEST_TIMEOUT_SECONDS', '0'],
    ['JWT_CLOCK_TOLERANCE_SECONDS', '61'],
    ['JWT_JWKS_URI', 'ftp://keys'],
  ])('stops the start and names %s when it is "%s"', (name, value) => {
    expect(problemsOf({ ...BASE, [name]: value })).toMatch(new RegExp(`\\b${name}\\b`));
  });

  it('tells all that is wrong at once', () => {
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

it('tells the version that package.json has', () => {
  expect(VERSION).toBe((JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version);
});
