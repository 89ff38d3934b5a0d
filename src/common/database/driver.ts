import type { Socket } from 'node:net';
import pg from 'pg';
import { DatabaseServers, serverList } from '../../config/database-servers.js';
import { markRefusal, markUnanswered } from '../errors/database-errors.js';
import { ServiceUnavailable } from '../errors/service-error.js';
import { AnswerCheck, HEADER_BYTES } from './answer-check.js';

/**
 * The most requests that wait for each connection. The next one is refused at once, which costs nothing, instead of after
 * its time-out. At 2 ms a statement the last of them waits a fifth of a second.
 */
const WAITING_PER_CONNECTION = 100;

/** Statements ask for 0, 1, 2 and 3 marks in turn. */
const MARKINGS = 4;

/** The client gives up on a server that is silent for this much longer than the server's own limit. */
export const SILENCE_MILLISECONDS = 2000;

/** How long a movement waits for an account that another transaction has locked: others need its connection. */
export const LOCK_MILLISECONDS = 3000;

/** Of every connection. */
export const SESSION_SETTINGS = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  default_transaction_isolation: 'read committed',
};

/** What a connection string may have that this service sets, or that says which server to take. */
const NOT_OF_A_SERVER = [
  ...['options', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'],
  ...['target_session_attrs', 'load_balance_hosts'],
];

interface LimitedAnswers {
  /** How long the answer to a statement may take, in milliseconds; then the connection is ended. 0: for ever. */
  answer_timeout?: number;
}

interface LineOptions {
  ssl: pg.ClientConfig['ssl'];
  keepAlive: boolean | undefined;
  answerMilliseconds: number;
}

interface Servers {
  /** Where connections go. */
  servers: DatabaseServers;
}

type Done = (release?: unknown) => void;
type Connecting = ((error: Error) => void) | ((error: null, client: pg.Client) => void);
type Connected = (error: Error | undefined, client: pg.PoolClient | undefined, done: Done) => void;

declare module 'pg' {
  interface Connection {
    /** Called by pg when there is something to listen to: at once, or when TLS has been agreed on. */
    attachListeners(stream: { on(event: string, listener: (chunk: Buffer) => void): void }): void;
  }
}

/**
 * The socket of one connection. It takes nothing from the server that a server does not send (see AnswerCheck): then, and
 * when an answer takes too long, the connection ends, and the statement under way may have been carried out or not.
 */
class Line extends pg.Connection {
  private readonly check = new AnswerCheck();
  private readonly answerMilliseconds: number;
  private marking = 0;
  private isMarked = false;
  private handOn: (chunk: Buffer) => void = () => undefined;
  private timer: NodeJS.Timeout | undefined;
  /** The beginning of a message whose end has not come, and how many bytes it takes to go on. */
  private parts: Buffer[] = [];
  private bytes = 0;
  private bytesNeeded = 0;

  constructor({ ssl, keepAlive, answerMilliseconds }: LineOptions) {
    super({ ssl, keepAlive });
    this.answerMilliseconds = answerMilliseconds;
    // Before the listener of the client, who passes the error on.
    this.on('errorMessage', (error: object) => {
      if (this.check.isRefused) markRefusal(error);
    });
    this.on('end', () => clearTimeout(this.timer));
  }

  override query(text: string): void {
    this.mark();
    this.begin('simple');
    super.query(text);
  }

  override parse(...message: Parameters<pg.Connection['parse']>): void {
    this.mark();
    super.parse(...message);
  }

  override bind(...message: Parameters<pg.Connection['bind']>): void {
    this.mark();
    super.bind(...message);
  }

  override sync(): void {
    this.mark();
    this.begin('extended');
    super.sync();
  }

  /**
   * Asks the server for other marks than those of the statement before, so that an answer that comes twice is not taken for
   * the next one's. A mark is the answer to closing a portal that is not there: nothing happens.
   */
  private mark(): void {
    if (this.isMarked) return;
    this.isMarked = true;
    this.marking = (this.marking + 1) % MARKINGS;
    for (let mark = 0; mark < this.marking; mark++) super.close({ type: 'P' }, false);
  }

  override attachListeners(stream: Socket): void {
    super.attachListeners({
      on: (event, listener) => {
        if (event === 'data') this.handOn = listener;
      },
    });
    stream.on('data', (chunk) => {
      try {
        this.receive(chunk);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
  }

  private begin(protocol: 'simple' | 'extended'): void {
    this.check.begin(protocol, this.marking);
    this.isMarked = false;
    clearTimeout(this.timer);
    if (this.answerMilliseconds === 0) return;
    this.timer = setTimeout(() => {
      this.stream.destroy(new Error('The database has not answered in time'));
    }, this.answerMilliseconds);
  }

  /** Checks what has come, then lets pg parse it: nothing is believed of what stands before something wrong. */
  private receive(chunk: Buffer): void {
    const bytes = this.joined(chunk);
    if (bytes === undefined) return;
    let offset = 0;
    this.bytesNeeded = HEADER_BYTES;
    while (bytes.length - offset >= HEADER_BYTES) {
      const type = bytes[offset] as number;
      const length = bytes.readUInt32BE(offset + 1);
      this.check.header(type, length);
      if (bytes.length - offset <= length) {
        this.bytesNeeded = length + 1;
        break;
      }
      const end = offset + 1 + length;
      this.check.message(type, bytes, offset + HEADER_BYTES, end);
      offset = end;
    }
    if (offset < bytes.length) {
      this.parts = [offset === 0 ? bytes : bytes.subarray(offset)];
      this.bytes = bytes.length - offset;
    }
    if (this.check.isAnswered) clearTimeout(this.timer);
    if (offset > 0) this.handOn(offset === bytes.length ? bytes : bytes.subarray(0, offset));
  }

  /** What has come since the last whole message, once it is enough to go on. */
  private joined(chunk: Buffer): Buffer | undefined {
    if (this.bytes === 0) return chunk;
    this.parts.push(chunk);
    this.bytes += chunk.length;
    if (this.bytes < this.bytesNeeded) return undefined;
    const bytes = Buffer.concat(this.parts);
    this.parts = [];
    this.bytes = 0;
    return bytes;
  }
}

/** The server that a connection could not be made to, by its error. */
const unreachable = new WeakMap<object, string>();

/**
 * A connection to one of the servers of the database, whose answers are checked. Only errors that the server sent are
 * marked as refusals.
 */
export class DatabaseClient extends pg.Client {
  private readonly servers: DatabaseServers;
  private readonly server: string;

  constructor(options: pg.ClientConfig & LimitedAnswers & Servers) {
    const server = options.servers.next(performance.now());
    super({ ...options, connectionString: server });
    this.servers = options.servers;
    this.server = server;
    const line = new Line({
      // As the connection string has it, too.
      ssl: this.ssl,
      keepAlive: options.keepAlive,
      answerMilliseconds: options.answer_timeout ?? 0,
    });
    Object.assign(this, { connection: line });
    // A connection in use that breaks fails its statement; without a listener it would end the process as well.
    this.on('error', () => undefined);
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: Connecting): void;
  override connect(callback?: Connecting): Promise<pg.Client> | void {
    const reached = this.reach();
    if (callback === undefined) return reached;
    const done = callback as (error: Error | null, client?: pg.Client) => void;
    reached.then((client) => done(null, client), done);
  }

  /** Leaves the server for the next connection when it cannot be reached, or is read-only and must not be. */
  private async reach(): Promise<pg.Client> {
    try {
      await super.connect();
      if (this.servers.mustWrite) await this.refuseReadOnly();
    } catch (error) {
      this.servers.leave(this.server, performance.now());
      unreachable.set(error as Error, new URL(this.server).host);
      throw error;
    }
    this.servers.use(this.server);
    return this;
  }

  /** Asks rather than believes what the server reported at the login: a pooler may report what was so before. */
  private async refuseReadOnly(): Promise<void> {
    const { rows } = await this.query<{ transaction_read_only: string }>('SHOW transaction_read_only');
    if (rows[0]?.transaction_read_only === 'off') return;
    await this.end();
    throw new Error('the server is read-only');
  }
}

interface PoolOptions extends pg.PoolConfig, LimitedAnswers, Servers {
  /** False: the server parses and plans each statement anew. */
  names_statements?: boolean;
}

/** Connections whose answers are checked, and a bounded line of requests that wait for one. */
export class DatabasePool extends pg.Pool {
  private readonly namesStatements: boolean;
  private readonly servers: DatabaseServers;
  declare readonly options: pg.PoolOptions & PoolOptions;

  /** @param direct options of connections to the server itself, where `options` are those to a pooler */
  constructor(
    options: PoolOptions,
    readonly direct: PoolOptions = options,
  ) {
    super({ ...options, Client: DatabaseClient as unknown as new () => pg.ClientBase });
    this.namesStatements = options.names_statements ?? true;
    this.servers = options.servers;
    // An idle connection that breaks is replaced when the next one is needed.
    this.on('error', () => undefined);
  }

  /** @throws ServiceUnavailable when too many wait for a connection */
  override connect(): Promise<pg.PoolClient>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): Promise<pg.PoolClient> | void {
    if (callback === undefined) {
      return new Promise((resolve, reject) => {
        this.connect((error, client) => {
          if (error !== undefined) reject(error);
          else resolve(client as pg.PoolClient);
        });
      });
    }
    if (this.waitingCount >= this.options.max * WAITING_PER_CONNECTION) {
      return callback(new ServiceUnavailable(), undefined, () => undefined);
    }
    this.connectToOneOf(this.servers.urls.length, [], callback);
  }

  /** Each server is tried at most once. */
  private connectToOneOf(untried: number, failures: string[], callback: Connected): void {
    super.connect((error, client, done) => {
      const cause = error?.cause as Error | undefined;
      const server = error && (unreachable.get(error) ?? (cause && unreachable.get(cause)));
      if (error === undefined || server === undefined || this.servers.urls.length === 1) {
        if (error !== undefined) markUnanswered(error);
        return callback(error, client, done);
      }
      failures.push(`${server}: ${error.message}`);
      if (untried > 1) return this.connectToOneOf(untried - 1, failures, callback);
      const none = new Error(failures.join(', '));
      markUnanswered(none);
      callback(none, client, done);
    });
  }

  /**
   * One statement on a connection that is given back.
   *
   * @param connected called when there is a connection
   */
  async run<Row extends pg.QueryResultRow>(query: pg.QueryConfig, connected?: () => void): Promise<Row[]> {
    const client = await this.connect();
    connected?.();
    try {
      const { rows } = await client.query<Row>(
        this.namesStatements ? query : { text: query.text, values: query.values },
      );
      client.release();
      return rows;
    } catch (error) {
      // A connection that has seen an error is not used again.
      client.release(true);
      markUnanswered(error as Error);
      throw error;
    }
  }
}

export interface ConnectionSettings {
  url: string;
  /** The server itself, where `url` is a pooler in transaction mode. */
  directUrl?: string | undefined;
  namesStatements?: boolean;
  poolSize: number;
  connectTimeoutMilliseconds: number;
  statementTimeoutMilliseconds: number;
  /** An account's credits are low at or below this, unless it has a threshold of its own; left out: it emits no events. */
  lowThreshold?: number;
}

/**
 * Connections as the service, the migrations and the scripts all use them. pg prefers what the URL asks for; here it is
 * added to, and of two values of one setting the last counts. A pooler takes no settings from its clients (see pooler.ts).
 */
export function connectionPool(settings: ConnectionSettings): DatabasePool {
  const { servers, asked } = databaseServers(settings.url);
  const common: PoolOptions = {
    servers,
    application_name: 'llm-accounting-service',
    max: settings.poolSize,
    connectionTimeoutMillis: settings.connectTimeoutMilliseconds,
    answer_timeout: settings.statementTimeoutMilliseconds + SILENCE_MILLISECONDS,
    keepAlive: true,
    names_statements: settings.namesStatements ?? true,
  };
  if (settings.directUrl !== undefined) {
    const direct = connectionPool({ ...settings, url: settings.directUrl, directUrl: undefined });
    return new DatabasePool(common, direct.options);
  }
  const own = {
    ...SESSION_SETTINGS,
    ...(settings.lowThreshold === undefined ? {} : { 'accounting.low_threshold': settings.lowThreshold }),
  };
  return new DatabasePool({
    ...common,
    // One after the other: the server gives up first and says so; the client's limit is for a server gone silent.
    statement_timeout: settings.statementTimeoutMilliseconds,
    idle_in_transaction_session_timeout: settings.statementTimeoutMilliseconds,
    options: [
      ...asked,
      ...Object.entries(own).map(([name, value]) => `-c ${name}=${String(value).replaceAll(' ', '\\ ')}`),
    ].join(' '),
  });
}

/** The servers of a connection string without what it asks them to set, and that. */
export function databaseServers(connectionString: string): { servers: DatabaseServers; asked: string[] } {
  const list = serverList(connectionString);
  const urls = list.urls.map((each) => new URL(each));
  const asked = urls[0]?.searchParams.getAll('options') ?? [];
  for (const url of urls) for (const name of NOT_OF_A_SERVER) url.searchParams.delete(name);
  return { servers: new DatabaseServers({ ...list, urls: urls.map(({ href }) => href) }), asked };
}
