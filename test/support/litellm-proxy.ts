import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Path = '/key/generate' | '/key/unblock' | '/key/block' | '/key/update' | '/key/delete';

/** What goes wrong with one call. `…Done`: the proxy does what it was asked, and the caller does not hear of it. */
export type Fault =
  | 'hangs'
  | 'hangsDone'
  | 'fails'
  | 'failsDone'
  | 'isLost'
  | 'isLostDone'
  /** Lost on the way, and done when the test says so. */
  | 'comesLate'
  /** Answered with this; a string is no JSON, a buffer is compressed. */
  | { status: number; body: object | string | Buffer; location?: string };

export interface ProxyKey {
  alias: string | null;
  userId: string | null;
  blocked: boolean;
  expiresAt: number | null;
  maxBudget: number | null;
  request: Record<string, unknown>;
}

type When = 'before' | 'after';

/** In every error the proxy gives: must not be seen anywhere else. */
export const PROXY_DETAIL = 'detail-of-the-proxy-alone';

/**
 * The key management of a LiteLLM proxy as its source has it (litellm/proxy/management_endpoints/
 * key_management_endpoints.py): keys are known by their SHA-256; a key of the caller's choosing must begin with `sk-`;
 * the same key again is answered like the first time and changes nothing, the same alias again is refused; what is not
 * there is a 404.
 */
export class LitellmProxy {
  readonly masterKey = 'sk-master-key-of-the-proxy-0123456789';
  readonly keys = new Map<string, ProxyKey>();
  readonly requests: { path: string; body: Record<string, unknown> }[] = [];
  private readonly faults: { path: Path; fault: Fault }[] = [];
  private readonly held = new Map<Path, { when: When; reached: () => void; released: Promise<void> }>();
  private late: (() => void)[] = [];
  private server: Server | undefined;
  private port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Listens; after a stop on the same port again. */
  async start(): Promise<this> {
    this.server = createServer((request, response) => void this.serve(request, response));
    await new Promise<void>((resolve) => this.server?.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  /** The next call of that path goes wrong in this way. */
  fail(path: Path, fault: Fault): void {
    this.faults.push({ path, fault });
  }

  /** Lets go of faults that were not met. */
  recover(): void {
    this.faults.length = 0;
  }

  /** The next call of that path waits, before or after it is done, until it is released. */
  hold(path: Path, when: When = 'before'): { arrived: Promise<void>; release: () => void } {
    let release = () => {};
    let reached = () => {};
    const arrived = new Promise<void>((resolve) => (reached = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    this.held.set(path, { when, reached, released });
    return { arrived, release };
  }

  /** What was lost on the way arrives now. */
  arrive(): void {
    for (const work of this.late.splice(0)) work();
  }

  /** Whether the proxy would serve a model to this key. */
  serves(key: string): boolean {
    const known = this.keys.get(digestOf(key));
    return known !== undefined && isLive(known);
  }

  /** Keys of a user that work. */
  liveOf(userId: string): ProxyKey[] {
    return this.of(userId).filter(isLive);
  }

  of(userId: string): ProxyKey[] {
    return [...this.keys.values()].filter((key) => key.userId === userId);
  }

  calls(path: Path): Record<string, unknown>[] {
    return this.requests.filter((request) => request.path === path).map(({ body }) => body);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url as Path;
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as Record<string, unknown>;
    this.requests.push({ path, body });
    const hold = this.held.get(path);
    this.held.delete(path);
    const work = () => this.answer(path, request.headers.authorization, body);
    const answer = hold?.when === 'after' ? work() : undefined;
    hold?.reached();
    await hold?.released;
    if (answer !== undefined) return send(response, ...answer);
    const index = this.faults.findIndex((fault) => fault.path === path);
    if (index < 0) return send(response, ...work());
    this.goWrong((this.faults.splice(index, 1)[0] as { fault: Fault }).fault, work, response);
  }

  private goWrong(fault: Fault, work: () => [number, object], response: ServerResponse): void {
    if (typeof fault === 'object') {
      if (fault.location !== undefined) response.setHeader('location', fault.location);
      return send(response, fault.status, fault.body);
    }
    if (fault === 'comesLate') this.late.push(work);
    if (fault.endsWith('Done')) work();
    if (fault.startsWith('fails')) return send(response, ...problem(500, 'Internal Server Error.'));
    // What hangs is left open for the caller to give up; what is lost is closed under it.
    if (!fault.startsWith('hangs')) response.destroy();
  }

  private answer(
    path: Path,
    authorization: string | undefined,
    body: Record<string, unknown>,
  ): [number, object] {
    if (authorization !== `Bearer ${this.masterKey}`) {
      return problem(401, `Authentication Error, Invalid proxy server token passed: ${authorization}`);
    }
    if (path === '/key/generate') return this.generate(body);
    if (path === '/key/delete') return this.remove(body.keys as string[]);
    const known = this.keys.get(digestIfNeeded(body.key as string));
    if (known === undefined) return problem(404, 'Key not found in database');
    if (path === '/key/block' || path === '/key/unblock') known.blocked = path === '/key/block';
    else if (path === '/key/update') {
      known.expiresAt = expiryOf(body.duration as string);
      known.maxBudget = body.max_budget as number | null;
    } else return [404, { detail: 'Not Found' }];
    return [200, { key: body.key }];
  }

  private generate(body: Record<string, unknown>): [number, object] {
    const key = body.key as string;
    const alias = (body.key_alias as string | undefined) ?? null;
    if (alias !== null && [...this.keys.values()].some((known) => known.alias === alias)) {
      return problem(400, `Key with alias '${alias}' already exists.`);
    }
    if (!key.startsWith('sk-')) return problem(400, `Invalid key format. Received: ${key}`);
    const digest = digestOf(key);
    if (!this.keys.has(digest)) {
      this.keys.set(digest, {
        alias,
        userId: (body.user_id as string | undefined) ?? null,
        blocked: body.blocked === true,
        expiresAt: expiryOf((body.duration as string | undefined) ?? '-1'),
        maxBudget: (body.max_budget as number | undefined) ?? null,
        request: body,
      });
    }
    return [200, { ...body, key, token: digest, token_id: digest }];
  }

  private remove(keys: string[]): [number, object] {
    const found = keys.filter((key) => this.keys.delete(digestIfNeeded(key)));
    return found.length > 0 ? [200, { deleted_keys: keys }] : problem(404, 'No keys found');
  }
}

export function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function digestIfNeeded(key: string): string {
  return key.startsWith('sk-') ? digestOf(key) : key;
}

function isLive({ blocked, expiresAt }: ProxyKey): boolean {
  return !blocked && (expiresAt === null || expiresAt > Date.now());
}

function expiryOf(duration: string): number | null {
  if (duration === '-1') return null;
  const seconds = /^(\d+)s$/.exec(duration)?.[1];
  if (seconds === undefined) throw new Error(`no duration: ${duration}`);
  return Date.now() + Number(seconds) * 1000;
}

/** The form of the proxy's errors. */
function problem(status: number, message: string): [number, object] {
  const error = { message: `${message} ${PROXY_DETAIL}`, type: 'error', param: 'key', code: String(status) };
  return [status, { error }];
}

function send(response: ServerResponse, status: number, body: object | string | Buffer): void {
  if (Buffer.isBuffer(body)) return void response.writeHead(status, { 'content-encoding': 'gzip' }).end(body);
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json' }).end(text);
}
