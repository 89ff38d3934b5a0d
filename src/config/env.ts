import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { dirname, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { Algorithm } from 'jsonwebtoken';
import { serverList, serverListProblem } from './database-servers.js';
import { databaseHints, unknownVariables } from './unknown-variables.js';
import { VERSION } from './version.js';
import { weakness } from './weak-secrets.js';

/** The whole configuration, read once at start. */
export interface AppConfig {
  readonly port: number;
  /** What `/health` and the OpenAPI document answer; the release itself unless VERSION names a build. */
  readonly version: string;
  readonly environment: 'development' | 'test' | 'production';
  readonly logLevel: string;
  /** `*` or a list of origins that browsers may call from. */
  readonly corsOrigins: '*' | string[];
  readonly database: DatabaseConfig;
  readonly reports: ReportsConfig;
  readonly jwt: JwtConfig;
  /** How people sign in to the console; undefined: with an access token that they bring. */
  readonly signIn: SignInConfig | undefined;
  /** Secret of trusted services; undefined switches internal callers off. */
  readonly internalApiKey: string | undefined;
  /** `off`: there is no `/metrics`. `token`: requires the bearer token. `open`: for everyone. */
  readonly metricsAccess: 'open' | 'token' | 'off';
  readonly metricsToken: string | undefined;
  /** Whether there are Swagger UI and the OpenAPI document at `/api/docs`. */
  readonly hasApiDocs: boolean;
  /** What the operator should know and what does not stop the start. */
  readonly warnings: readonly string[];
  readonly rateLimit: { readonly max: number; readonly windowSeconds: number };
  /** Whether movements that wait are combined into one call and one commit. */
  readonly combinesMovements: boolean;
  readonly sessions: {
    readonly leaseSeconds: number;
    /** After this, counted from its start, a session ends whatever its progress; at least the length of a lease. */
    readonly maximumAgeSeconds: number;
    readonly bufferPercent: number;
    /** The share of earlier calls of a model that a hold without an estimate covers. */
    readonly holdQuantile: number;
  };
  readonly sweepIntervalSeconds: number;
  readonly creditsPerUsd: number;
  /** The LiteLLM proxy whose virtual keys are managed here; undefined: none. */
  readonly litellm: LitellmConfig | undefined;
  /** Whether a LiteLLM client's own word (`end_user`) may say who pays where neither key nor user is known. */
  readonly trustsLitellmEndUser: boolean;
  readonly unpricedModelPolicy: 'fallback' | 'reject';
  readonly meteringCallers: 'any' | 'service';
  /** Whether callers with the role `user` see what calls cost at the provider, and its prices. */
  readonly showProviderCostToUsers: boolean;
  /** Who may create organisations, by a token of their own: supervisors and admins, or any user. */
  readonly organisationsCreatedBy: 'supervisors' | 'any';
  readonly requestTimeoutSeconds: number;
  /** How long requests under way may take to finish after the signal to stop. */
  readonly shutdownSeconds: number;
  /** Where traces go; undefined: there are none. */
  readonly tracing: TracingConfig | undefined;
  readonly events: EventsConfig;
  /** How long entries of the activity log are kept. */
  readonly activityRetentionDays: number;
  readonly webhooks: WebhooksConfig;
  /** The mail server for alerts; undefined: the service sends no e-mail. */
  readonly smtp?: SmtpConfig | undefined;
  /** Whom the sign-in page offers where it gives development tokens: no setting, the demo names its own. */
  readonly developmentPeople?: readonly DevelopmentPerson[];
}

export interface DevelopmentPerson {
  readonly sub: string;
  readonly username: string;
  readonly role: 'user' | 'supervisor' | 'admin';
  /** What one comes to see as this person. */
  readonly hint: string;
}

export interface EventsConfig {
  /** The threshold at which a user's credits are low, unless they set another; 0: never. */
  readonly lowThreshold: number;
  /** How long ahead events of expiring lots and keys are emitted; 0: not at all. */
  readonly creditsExpiringDays: number;
  readonly keysExpiringDays: number;
  readonly retentionDays: number;
  /** Open streams of this process. */
  readonly maximumStreams: number;
  /** A stream ends after this, and its client reconnects. */
  readonly streamSeconds: number;
}

export interface WebhooksConfig {
  readonly allowsHttp: boolean;
  readonly allowsPrivateAddresses: boolean;
  readonly timeoutMilliseconds: number;
  /** What the secrets of endpoints are encrypted with; undefined: they are stored as they are. */
  readonly secretsKey: string | undefined;
}

export interface SmtpConfig {
  /** `smtp://` or `smtps://`, with a login where the server wants one. */
  readonly url: string;
  /** The sender of every message. */
  readonly from: string;
  /** Whether a connection that begins without TLS must change to it. */
  readonly requiresTls: boolean;
}

export interface DatabaseConfig {
  /** Connection of the running service, to one server or several; undefined means the embedded server. */
  readonly url: string | undefined;
  /** The server itself, where `url` is a pooler in transaction mode: for what needs a connection of its own. */
  readonly directUrl?: string | undefined;
  /** Whether statements are parsed and planned once for each connection. */
  readonly namesStatements?: boolean;
  /** Connection of the schema's owner, for migrations; `directUrl` or `url` when not set. */
  readonly migrationUrl: string | undefined;
  /** A streaming replica, for reports that may be a little old. */
  readonly readUrl?: string | undefined;
  readonly maximumReadLagSeconds?: number;
  readonly poolSize: number;
  readonly statementTimeoutMilliseconds: number;
  readonly connectTimeoutMilliseconds: number;
  readonly embeddedDirectory: string;
}

/** Reads over many rows, apart from everything that callers wait for. */
export interface ReportsConfig {
  /** Connections for them alone, and so the most that run at once. */
  readonly poolSize: number;
  readonly timeoutMilliseconds: number;
}

export interface LitellmConfig {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly masterKey: string;
  readonly timeoutMilliseconds: number;
}

export interface TracingConfig {
  /** Of an OTLP receiver over HTTP, without `/v1/traces` and without a slash at its end. */
  readonly endpoint: string;
  readonly serviceName: string;
}

export interface JwtConfig {
  readonly accessSecret: string | undefined;
  /** Whether the secret was made here for development, and only this machine's user knows it. */
  readonly isDevelopmentSecret: boolean;
  readonly publicKey: string | undefined;
  readonly jwksUri: string | undefined;
  readonly algorithms: Algorithm[];
  readonly clockToleranceSeconds: number;
  /** What `iss` must be; undefined: anything. */
  readonly issuer: string | undefined;
  /** What `aud` must name one of; empty: anything. */
  readonly audiences: string[];
  /** Where a token has what this service needs of a user, as names or paths such as `realm_access.roles`. */
  readonly claims: { readonly username: string; readonly email: string; readonly role: string };
  /** The claim by which access tokens differ from other tokens, and its value; undefined: they differ by their audience. */
  readonly tokenType: { readonly claim: string; readonly value: string } | undefined;
}

/** The OpenID provider that people sign in with, and this service as its client. */
export interface SignInConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  /** Separated by blanks. */
  readonly scope: string;
  /** Further parameters of the authorization request, such as `audience`. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The origin under which browsers reach this service. */
  readonly publicUrl: string;
  /** After so many hours a person signs in anew, however active the session is. */
  readonly sessionHours: number;
}

/** A configuration that cannot be used; the message has one line per bad variable and names it. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

const MINIMUM_SECRET_LENGTH = 32;
/** Where a database is; all others of `DB_` are for the embedded one too. */
const DATABASE_ADDRESS = ['DATABASE_URL', 'DB_HOST', 'DB_PORT', 'DB_NAME', 'DB_USER', 'DB_PASSWORD'];
/** Read by a command and by the library for traces. */
const OTHERS_VARIABLES = ['ACCOUNTING_TOKEN', 'OTEL_EXPORTER_OTLP_HEADERS'];
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const POSTGRESQL = ['postgres:', 'postgresql:'];
const DATABASE_URL_FORM =
  'must have the form postgresql://user:password@host:5432/database, with other characters than letters and digits in user and password as %XX';

const isUrlOf = (value: string, protocols: string[]) =>
  URL.canParse(value) && protocols.includes(new URL(value).protocol);

function isDatabaseUrl(url: string): boolean {
  const { hostname, pathname, username, hash, searchParams } = new URL(url);
  const hasHost = (hostname || searchParams.get('host') || '') !== '';
  const isPlain = /^\/[^/@:]+$/.test(pathname) && !/%3a/i.test(username) && hash === '';
  return /^\w+:\/\//.test(url) && hasHost && isPlain;
}

/** Reads variables and gathers what is wrong with them, so that one start shows every mistake. */
class Reader {
  readonly problems: string[] = [];
  /** All that was read: the names of the variables that there are. */
  readonly names = new Set<string>(OTHERS_VARIABLES);
  private readonly secrets = new Map<string, string>();
  private readonly isProduction: boolean;
  constructor(private readonly env: NodeJS.ProcessEnv) {
    this.isProduction = env.NODE_ENV?.trim() === 'production';
  }

  text(name: string): string | undefined {
    this.names.add(name);
    const value = this.env[name]?.trim();
    return value === undefined || value === '' ? undefined : value;
  }

  integer(name: string, fallback: number, minimum: number, maximum: number): number {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const number = /^\d{1,10}$/.test(value) ? Number(value) : NaN;
    if (number >= minimum && number <= maximum) return number;
    this.problems.push(`${name} must be a whole number from ${minimum} to ${maximum}, not "${value}"`);
    return fallback;
  }

  fraction(name: string, fallback: number, minimum: number, maximum: number): number {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const number = /^0?\.\d{1,9}$/.test(value) ? Number(value) : NaN;
    if (number >= minimum && number <= maximum) return number;
    this.problems.push(`${name} must be a number from ${minimum} to ${maximum}, not "${value}"`);
    return fallback;
  }

  oneOf<T extends string>(name: string, fallback: T, allowed: readonly T[]): T {
    const value = this.text(name) ?? fallback;
    if ((allowed as readonly string[]).includes(value)) return value as T;
    this.problems.push(`${name} must be one of ${allowed.join(', ')}, not "${value}"`);
    return fallback;
  }

  isOn(name: string): boolean {
    return this.oneOf(name, 'off', ['on', 'off'] as const) === 'on';
  }

  url(name: string, protocols: string[]): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (isUrlOf(value, protocols)) return value;
    // The value is not repeated: a connection string holds a password.
    this.problems.push(
      `${name} must be a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
    );
    return undefined;
  }

  /**
   * The address of a PostgreSQL server, or of several, and of one database on it. A slash or an escape that is wrong would
   * make the password a part of the host, the user or the database, which are shown and connected to.
   */
  databaseUrl(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const { urls } = serverList(value);
    if (!urls.every((url) => isUrlOf(url, POSTGRESQL))) return this.url(name, POSTGRESQL);
    const problem = urls.every(isDatabaseUrl) ? serverListProblem(value) : DATABASE_URL_FORM;
    if (problem === undefined) return value;
    this.problems.push(`${name} ${problem === DATABASE_URL_FORM ? '' : 'is not usable: '}${problem}`);
    return undefined;
  }

  /** A secret of at least `minimum` characters; the message never repeats it. */
  secret(name: string, minimum: number): string | undefined {
    const value = this.text(name);
    const twin = value === undefined ? undefined : this.secrets.get(value);
    if (twin !== undefined && twin !== name && this.isProduction) {
      this.problems.push(`${name} must not be the same as ${twin}: who knows one of them would know both`);
    }
    if (value !== undefined) this.secrets.set(value, name);
    if (value !== undefined && value.length < minimum) {
      this.problems.push(`${name} must have at least ${minimum} characters`);
    }
    return value;
  }

  /** A secret of this service's own: in production of 32 characters, and none that stands in an example. */
  ownSecret(name: string, minimum: number): string | undefined {
    const value = this.secret(name, this.isProduction ? MINIMUM_SECRET_LENGTH : minimum);
    const problem = value === undefined || !this.isProduction ? undefined : weakness(value);
    if (problem !== undefined) this.problems.push(`${name} ${problem}`);
    return value;
  }
}

/** Where the embedded server keeps its data, unless EMBEDDED_POSTGRES_DIR names another directory. */
export const EMBEDDED_DIRECTORY = '.data/postgres';

/** The port that the environment names, for a command that reads nothing else of it. */
export const portOf = (env: NodeJS.ProcessEnv = environmentWithFile()): string => env.PORT ?? '3001';

/**
 * Reads and checks the whole configuration.
 *
 * @throws ConfigError naming every variable that is missing or bad
 */
export function loadConfig(env: NodeJS.ProcessEnv = environmentWithFile()): AppConfig {
  const read = new Reader(env);
  const environment = read.oneOf('NODE_ENV', 'development', ['development', 'test', 'production'] as const);
  const isProduction = environment === 'production';
  const database = readDatabase(read);
  const metricsToken = read.ownSecret('METRICS_TOKEN', 8);
  const openMetrics = isProduction ? 'off' : 'open';
  const warnings: string[] = [];
  const config: AppConfig = {
    port: read.integer('PORT', 3001, 0, 65535),
    version: read.text('VERSION') ?? VERSION,
    environment,
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    corsOrigins: readCorsOrigins(read),
    database,
    reports: {
      poolSize: read.integer('DB_REPORT_POOL_SIZE', 2, 1, 100),
      timeoutMilliseconds: read.integer('DB_REPORT_TIMEOUT_MS', 30_000, 100, 3_600_000),
    },
    jwt: readJwt(read, environment, database.embeddedDirectory),
    signIn: readSignIn(read, isProduction),
    internalApiKey: read.ownSecret('INTERNAL_API_KEY', 8),
    metricsAccess: read.oneOf('METRICS_ACCESS', metricsToken === undefined ? openMetrics : 'token', [
      'open',
      'token',
      'off',
    ] as const),
    metricsToken,
    hasApiDocs: read.oneOf('API_DOCS', isProduction ? 'off' : 'on', ['on', 'off'] as const) === 'on',
    warnings,
    rateLimit: {
      max: read.integer('RATE_LIMIT_MAX', 6000, 1, 1_000_000_000),
      windowSeconds: read.integer('RATE_LIMIT_WINDOW_SECONDS', 60, 1, 86_400),
    },
    sessions: {
      leaseSeconds: read.integer('SESSION_LEASE_SECONDS', 900, 1, 86_400),
      maximumAgeSeconds: read.integer('SESSION_MAX_AGE_SECONDS', 86_400, 1, 2_592_000),
      bufferPercent: read.integer('SESSION_BUFFER_PERCENT', 20, 0, 1000),
      holdQuantile: read.fraction('HOLD_QUANTILE', 0.8, 0.5, 0.999),
    },
    sweepIntervalSeconds: read.integer('SWEEP_INTERVAL_SECONDS', 10, 0, 3600),
    creditsPerUsd: read.integer('CREDITS_PER_USD', 1000, 1, 1_000_000_000),
    litellm: readLitellm(read),
    trustsLitellmEndUser: read.oneOf('LITELLM_TRUST_END_USER', 'off', ['on', 'off'] as const) === 'on',
    unpricedModelPolicy: read.oneOf('UNPRICED_MODEL_POLICY', 'fallback', ['fallback', 'reject'] as const),
    combinesMovements: read.oneOf('COMBINE_MOVEMENTS', 'on', ['on', 'off'] as const) === 'on',
    meteringCallers: read.oneOf('METERING_CALLERS', 'any', ['any', 'service'] as const),
    showProviderCostToUsers:
      read.oneOf('SHOW_PROVIDER_COST_TO_USERS', 'off', ['on', 'off'] as const) === 'on',
    organisationsCreatedBy: read.oneOf('ORGANISATIONS_CREATED_BY', 'supervisors', [
      'supervisors',
      'any',
    ] as const),
    requestTimeoutSeconds: read.integer('REQUEST_TIMEOUT_SECONDS', 30, 1, 600),
    shutdownSeconds: read.integer('SHUTDOWN_SECONDS', 20, 1, 600),
    tracing: readTracing(read),
    activityRetentionDays: read.integer('ACTIVITY_RETENTION_DAYS', 730, 30, 36_500),
    events: readEvents(read),
    webhooks: readWebhooks(read),
    smtp: readSmtp(read),
  };
  const { url, directUrl, readUrl, migrationUrl } = config.database;
  for (const [name, other] of Object.entries({
    DATABASE_DIRECT_URL: directUrl,
    DATABASE_READ_URL: readUrl,
    MIGRATION_DATABASE_URL: migrationUrl,
  })) {
    if (other !== undefined && url === undefined)
      read.problems.push(`DATABASE_URL (or DB_HOST) is required when ${name} is set`);
  }
  for (const [name, sent] of Object.entries({
    INTERNAL_API_KEY: config.internalApiKey,
    METRICS_TOKEN: metricsToken,
  })) {
    if (sent !== undefined && !isPrintable(sent)) {
      read.problems.push(`${name} must be printable characters without spaces`);
    }
  }
  if (isProduction && env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
    warnings.push(
      'NODE_TLS_REJECT_UNAUTHORIZED is 0: certificates are not checked, and who is between this service and another can read and change what they send',
    );
  }
  warnings.push(...differentDatabases(config.database));
  if (config.signIn !== undefined) warnings.push(...checkSignIn(read, config.signIn, config.jwt));
  if (config.sessions.maximumAgeSeconds < config.sessions.leaseSeconds) {
    read.problems.push('SESSION_MAX_AGE_SECONDS must be at least SESSION_LEASE_SECONDS');
  }
  if (config.meteringCallers === 'service' && config.internalApiKey === undefined) {
    read.problems.push('INTERNAL_API_KEY is required when METERING_CALLERS is "service"');
  }
  if ((config.metricsAccess === 'token') !== (metricsToken !== undefined) && config.metricsAccess !== 'off') {
    read.problems.push(
      'METRICS_TOKEN is required when METRICS_ACCESS is "token", and must be unset when it is "open"',
    );
  }
  if (isProduction && database.url === undefined) requireChosenDatabase(read, env);
  for (const { name, nearest, isOfDatabase } of unknownVariables(env, read.names)) {
    const said = `${name} is not a variable of this service; the nearest is ${nearest}`;
    if (isProduction && isOfDatabase) read.problems.push(said);
    else warnings.push(said);
  }
  if (read.problems.length > 0) {
    const lines = (texts: string[]) => texts.map((text) => `\n  - ${text}`).join('');
    const warned = warnings.length > 0 ? `\nBesides:${lines(warnings)}` : '';
    throw new ConfigError(`The configuration cannot be used:${lines(read.problems)}${warned}`);
  }
  return config;
}

/** The environment, and what `.env` in the working directory adds to it: a variable that is set already keeps its value. */
function environmentWithFile(): NodeJS.ProcessEnv {
  if (!existsSync('.env')) return process.env;
  // Some editors begin a file with a byte order mark, which would become a part of the first name.
  const added = parseEnv(readFileSync('.env', 'utf8').replace(/^\uFEFF/, ''));
  for (const [name, value] of Object.entries(added)) process.env[name] ??= value;
  return process.env;
}

/** The access token that a command sends when none is named on its line. */
export function commandToken(env: NodeJS.ProcessEnv = environmentWithFile()): string | undefined {
  return new Reader(env).text('ACCOUNTING_TOKEN');
}

/** In production nothing is stored in an embedded database by accident: it is chosen, and nothing speaks of another. */
function requireChosenDatabase(read: Reader, env: NodeJS.ProcessEnv): void {
  if (env.DATABASE_URL?.trim() === '') {
    read.problems.push('DATABASE_URL is set and empty; without a database of its own leave it out');
  }
  if (read.text('EMBEDDED_POSTGRES_DIR') === undefined) {
    read.problems.push(
      'DATABASE_URL (or DB_HOST) is required in production; EMBEDDED_POSTGRES_DIR chooses the embedded server instead',
    );
  }
  const others = [...read.names].filter((name) => !DATABASE_ADDRESS.includes(name));
  const hints = databaseHints(env, new Set(others));
  if (hints.length > 0) {
    read.problems.push(
      `DATABASE_URL (or DB_HOST) must name the database that ${hints.join(', ')} ${hints.length > 1 ? 'seem' : 'seems'} to be about`,
    );
  }
}

function readDatabase(read: Reader): DatabaseConfig {
  let url = read.databaseUrl('DATABASE_URL');
  const host = read.text('DB_HOST');
  const port = read.integer('DB_PORT', 5432, 1, 65535);
  const name = read.text('DB_NAME') ?? 'accounting_db';
  const user = read.text('DB_USER') ?? 'postgres';
  const password = read.text('DB_PASSWORD') ?? '';
  if (url === undefined && host !== undefined) {
    const location = new URL('postgresql://unset.invalid');
    location.hostname = isIPv6(host) ? `[${host}]` : host;
    // A URL keeps the host it has when it is given what is none, and that would be another server than was meant.
    if (/[/?#\\]/.test(host) || ['', 'unset.invalid'].includes(location.hostname)) {
      // The value is not repeated: a connection string put here by mistake has a password.
      read.problems.push('DB_HOST must be the name or the address of a host, without a port or a login');
    }
    location.port = String(port);
    location.pathname = `/${encodeURIComponent(name)}`;
    location.username = encodeURIComponent(user);
    location.password = encodeURIComponent(password);
    url = location.toString();
  }
  const directUrl = read.databaseUrl('DATABASE_DIRECT_URL');
  const names = read.oneOf('DB_NAMED_STATEMENTS', directUrl === undefined ? 'on' : 'off', [
    'on',
    'off',
  ] as const);
  return {
    url,
    directUrl,
    namesStatements: names === 'on',
    migrationUrl: read.databaseUrl('MIGRATION_DATABASE_URL'),
    readUrl: readReplicaUrl(read),
    maximumReadLagSeconds: read.integer('READ_MAX_LAG_SECONDS', 5, 1, 3600),
    poolSize: read.integer('DB_POOL_SIZE', 20, 1, 500),
    statementTimeoutMilliseconds: read.integer('DB_STATEMENT_TIMEOUT_MS', 10_000, 100, 600_000),
    connectTimeoutMilliseconds: read.integer('DB_CONNECT_TIMEOUT_MS', 3000, 100, 60_000),
    embeddedDirectory: resolve(read.text('EMBEDDED_POSTGRES_DIR') ?? EMBEDDED_DIRECTORY),
  };
}

/** One server: how far it is behind is known of that one. */
function readReplicaUrl(read: Reader): string | undefined {
  const url = read.databaseUrl('DATABASE_READ_URL');
  if (url !== undefined && serverList(url).mustWrite)
    read.problems.push('DATABASE_READ_URL must name one host, without target_session_attrs');
  return url;
}

/** A warning, and no refusal: a pooler may give the same database another name. */
function differentDatabases({ url, migrationUrl }: DatabaseConfig): string[] {
  if (url === undefined || migrationUrl === undefined) return [];
  const nameIn = (address: string) => new URL(serverList(address).urls[0] as string).pathname.slice(1);
  const [used, migrated] = [nameIn(url), nameIn(migrationUrl)];
  if (used === migrated) return [];
  return [
    `MIGRATION_DATABASE_URL names the database "${migrated}", and DATABASE_URL (or DB_NAME) "${used}": migrations would not reach the database that the service uses`,
  ];
}

function readLitellm(read: Reader): LitellmConfig | undefined {
  const baseUrl = read.url('LITELLM_BASE_URL', ['https:', 'http:']);
  const masterKey = read.secret('LITELLM_MASTER_KEY', 8);
  // Far below the time that a creation may take, with its three calls.
  const timeoutMilliseconds = read.integer('LITELLM_TIMEOUT_MS', 5000, 100, 10_000);
  if ((read.text('LITELLM_BASE_URL') === undefined) !== (masterKey === undefined)) {
    read.problems.push('LITELLM_BASE_URL and LITELLM_MASTER_KEY are required together');
  }
  if (baseUrl === undefined || masterKey === undefined) return undefined;
  const { username, password, search, hash } = new URL(baseUrl);
  if (username !== '' || password !== '' || search !== '' || hash !== '') {
    read.problems.push('LITELLM_BASE_URL must have no user, query or fragment');
  }
  if (!isPrintable(masterKey)) {
    read.problems.push('LITELLM_MASTER_KEY must be printable characters without spaces');
  }
  return { baseUrl: baseUrl.replace(/\/+$/, ''), masterKey, timeoutMilliseconds };
}

/** Whether a header can hold it as it is. */
const isPrintable = (text: string) => /^[\x21-\x7e]+$/.test(text);

function readEvents(read: Reader): EventsConfig {
  return {
    lowThreshold: read.integer('CREDITS_LOW_THRESHOLD', 100, 0, 2_000_000_000),
    creditsExpiringDays: read.integer('CREDITS_EXPIRING_DAYS', 3, 0, 365),
    keysExpiringDays: read.integer('API_KEYS_EXPIRING_DAYS', 7, 0, 365),
    retentionDays: read.integer('EVENT_RETENTION_DAYS', 30, 1, 3650),
    maximumStreams: read.integer('EVENT_STREAMS_MAX', 1000, 1, 100_000),
    streamSeconds: read.integer('EVENT_STREAM_SECONDS', 3600, 1, 86_400),
  };
}

function readWebhooks(read: Reader): WebhooksConfig {
  return {
    allowsHttp: read.isOn('WEBHOOK_ALLOW_HTTP'),
    allowsPrivateAddresses: read.isOn('WEBHOOK_ALLOW_PRIVATE_ADDRESSES'),
    timeoutMilliseconds: read.integer('WEBHOOK_TIMEOUT_MS', 10_000, 100, 30_000),
    secretsKey: read.ownSecret('WEBHOOK_SECRETS_KEY', MINIMUM_SECRET_LENGTH),
  };
}

function readSmtp(read: Reader): SmtpConfig | undefined {
  const url = read.url('SMTP_URL', ['smtp:', 'smtps:']);
  const from = read.text('SMTP_FROM');
  if ((url === undefined) !== (from === undefined))
    read.problems.push('SMTP_URL and SMTP_FROM are required together');
  if (from !== undefined && !/^([^<>@\r\n]*<)?[^\s<>@]+@[^\s<>@]+>?$/.test(from))
    read.problems.push('SMTP_FROM must be an address such as accounting@example.com');
  if (url === undefined || from === undefined) return undefined;
  const { username, hostname } = new URL(url);
  // A login never goes over the network as it is.
  return { url, from, requiresTls: username !== '' && !isLoopback(hostname) };
}

function readTracing(read: Reader): TracingConfig | undefined {
  const endpoint = read.url('OTEL_EXPORTER_OTLP_ENDPOINT', ['https:', 'http:']);
  const serviceName = read.text('OTEL_SERVICE_NAME') ?? 'accounting-service';
  return endpoint === undefined ? undefined : { endpoint: endpoint.replace(/\/+$/, ''), serviceName };
}

function readCorsOrigins(read: Reader): '*' | string[] {
  const value = read.text('CORS_ORIGIN') ?? '*';
  if (value === '*') return '*';
  const origins = value.split(',').map((origin) => origin.trim());
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      // Without what may be a login in it.
      const shown = origin.replace(/\S*@/, '…@');
      read.problems.push(`CORS_ORIGIN must be * or origins such as https://app.example.com, not "${shown}"`);
    }
  }
  return origins;
}

function readJwt(read: Reader, environment: AppConfig['environment'], embeddedDirectory: string): JwtConfig {
  const publicKey = read.text('JWT_PUBLIC_KEY')?.replaceAll('\\n', '\n');
  const jwksUri = readJwksUri(read);
  let accessSecret = read.ownSecret('JWT_ACCESS_SECRET', 1);
  const given = [publicKey, jwksUri, accessSecret].filter((value) => value !== undefined).length;
  if (given > 1) {
    // Two ways to sign would be two ways in: the weaker one decides.
    read.problems.push('Set only one of JWT_ACCESS_SECRET, JWT_PUBLIC_KEY and JWT_JWKS_URI');
  } else if (given === 0 && environment === 'production') {
    read.problems.push('JWT_ACCESS_SECRET (or JWT_PUBLIC_KEY or JWT_JWKS_URI) is required in production');
  } else if (given === 0) {
    accessSecret = developmentSecret(resolve(dirname(embeddedDirectory), 'jwt-access-secret'));
  }
  return {
    accessSecret,
    isDevelopmentSecret: given === 0 && environment !== 'production',
    publicKey,
    jwksUri,
    algorithms: accessSecret === undefined ? ['RS256', 'ES256'] : ['HS256'],
    clockToleranceSeconds: read.integer('JWT_CLOCK_TOLERANCE_SECONDS', 5, 0, 60),
    ...readClaims(read),
  };
}

function readClaims(read: Reader): Pick<JwtConfig, 'issuer' | 'audiences' | 'claims' | 'tokenType'> {
  const audiences = (read.text('JWT_AUDIENCE') ?? '')
    .split(',')
    .map((audience) => audience.trim())
    .filter((audience) => audience !== '');
  const [, claim = '', value = 'access'] =
    /^(.+?)(?:=([^=]+))?$/.exec(read.text('JWT_TOKEN_TYPE_CLAIM') ?? 'type') ?? [];
  if (claim === 'off' && audiences.length === 0) {
    read.problems.push(
      'JWT_AUDIENCE is required when JWT_TOKEN_TYPE_CLAIM is "off": without either, ID tokens would be accepted as access tokens',
    );
  }
  return {
    issuer: read.text('JWT_ISSUER') ?? read.text('OIDC_ISSUER'),
    audiences,
    claims: {
      username: read.text('JWT_CLAIM_USERNAME') ?? 'username',
      email: read.text('JWT_CLAIM_EMAIL') ?? 'email',
      role: read.text('JWT_CLAIM_ROLE') ?? 'role',
    },
    tokenType: claim === 'off' ? undefined : { claim, value },
  };
}

function readSignIn(read: Reader, isProduction: boolean): SignInConfig | undefined {
  const issuer = read.url('OIDC_ISSUER', ['https:', 'http:']);
  const clientId = read.text('OIDC_CLIENT_ID');
  const clientSecret = read.secret('OIDC_CLIENT_SECRET', 8);
  const parameters = new URLSearchParams(read.text('OIDC_PARAMETERS') ?? '');
  const scope = read.text('OIDC_SCOPE') ?? 'openid profile email';
  const sessionHours = read.integer('OIDC_SESSION_HOURS', 12, 1, 720);
  const publicUrl = read.url('PUBLIC_URL', ['https:', 'http:']);
  if ((read.text('OIDC_ISSUER') === undefined) !== (clientId === undefined))
    read.problems.push('OIDC_ISSUER and OIDC_CLIENT_ID are required together');
  if (issuer === undefined || clientId === undefined) return undefined;
  if (publicUrl === undefined && read.text('PUBLIC_URL') === undefined && isProduction)
    read.problems.push('PUBLIC_URL is required with OIDC_ISSUER: the provider sends people back to it');
  if (!scope.split(' ').includes('openid')) read.problems.push('OIDC_SCOPE must contain openid');
  const fixed = [...parameters.keys()].find((name) => FIXED_PARAMETERS.has(name));
  if (fixed !== undefined)
    read.problems.push(`OIDC_PARAMETERS must not set ${fixed}, which the service sets`);
  const origin = publicUrl ?? `http://localhost:${read.integer('PORT', 3001, 0, 65535)}`;
  for (const [name, address] of Object.entries({ OIDC_ISSUER: issuer, PUBLIC_URL: origin })) {
    const { protocol, hostname, username, password, search, hash } = new URL(address);
    if (username !== '' || password !== '' || search !== '' || hash !== '')
      read.problems.push(`${name} must have no user, query or fragment`);
    if (protocol === 'http:' && !isLoopback(hostname))
      read.problems.push(`${name} must be https unless its host is this machine`);
  }
  if (new URL(origin).pathname !== '/') read.problems.push('PUBLIC_URL must have no path');
  return {
    issuer,
    clientId,
    clientSecret,
    scope,
    parameters: Object.fromEntries(parameters),
    publicUrl: new URL(origin).origin,
    sessionHours,
  };
}

/** What OIDC_PARAMETERS may not replace: each of them protects the sign-in. */
const FIXED_PARAMETERS = new Set(
  'client_id redirect_uri response_type response_mode scope state nonce code_challenge code_challenge_method request request_uri'.split(
    ' ',
  ),
);

/** The access tokens of a session pass the checks of all others. @returns warnings */
function checkSignIn(read: Reader, { clientId }: SignInConfig, jwt: JwtConfig): string[] {
  if (jwt.accessSecret !== undefined) {
    read.problems.push(
      'JWT_JWKS_URI (or JWT_PUBLIC_KEY) is required with OIDC_ISSUER: it verifies the access tokens of the provider',
    );
  }
  if (jwt.audiences.length === 0)
    return [
      'JWT_AUDIENCE is not set: access tokens that OIDC_ISSUER issued for other applications are accepted',
    ];
  if (jwt.tokenType === undefined && jwt.audiences.includes(clientId))
    return [
      'JWT_AUDIENCE names OIDC_CLIENT_ID and JWT_TOKEN_TYPE_CLAIM is "off": ID tokens pass as access tokens',
    ];
  return [];
}

/** An attacker who can change a key server's answer can sign in as anyone, so it must come by TLS or from this machine. */
function readJwksUri(read: Reader): string | undefined {
  const uri = read.url('JWT_JWKS_URI', ['https:', 'http:']);
  const allowsHttp = read.isOn('JWT_JWKS_ALLOW_HTTP');
  if (uri === undefined) return undefined;
  const { protocol, hostname, username, password } = new URL(uri);
  if (username !== '' || password !== '')
    read.problems.push('JWT_JWKS_URI must have no user and no password');
  if (protocol === 'http:' && !allowsHttp && !isLoopback(hostname)) {
    read.problems.push(
      'JWT_JWKS_URI must be https unless its host is this machine; JWT_JWKS_ALLOW_HTTP=on allows http in a network that is trusted',
    );
  }
  return uri;
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'))
  );
}

/** The secret of a development machine: made once, kept where only its user can read it. */
function developmentSecret(file: string): string {
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, randomBytes(32).toString('base64url'), { mode: 0o600 });
    try {
      // Of two first starts at once one makes the link, and both read what it wrote, which is whole from the beginning.
      linkSync(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft);
    }
  }
  return readFileSync(file, 'utf8').trim();
}
