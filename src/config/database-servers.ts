/** A server that could not be used is left alone for so long, where connections are spread. */
const AWAY_MILLISECONDS = 5000;

/** What a connection string says, in libpq's syntax: postgresql://user:password@first:5432,second:5432/database */
export interface ServerList {
  /** A connection string for each server, in their order. */
  readonly urls: readonly string[];
  /** Whether connections go to all of them in turn (load_balance_hosts=random) or to one until it fails. */
  readonly isSpread: boolean;
  /** Whether a server that is read-only, as a standby is, is passed over. Of several, always: the service writes. */
  readonly mustWrite: boolean;
}

/** Reads a connection string. Whether its parts are sound is for the configuration to check (see env.ts). */
export function serverList(connectionString: string): ServerList {
  const [, login, hosts, rest] = /^(\w+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(connectionString) ?? [];
  const urls = hosts?.split(',').map((host) => `${login}${host}${rest}`) ?? [connectionString];
  const asked = queryOf(urls[0] as string);
  return {
    urls,
    isSpread: asked.get('load_balance_hosts') === 'random',
    mustWrite: urls.length > 1 || asked.has('target_session_attrs'),
  };
}

/** What is wrong with how a connection string asks for one of several servers; undefined: nothing. */
export function serverListProblem(connectionString: string): string | undefined {
  const { urls } = serverList(connectionString);
  const asked = queryOf(urls[0] as string);
  if (!isOneOf(asked.get('target_session_attrs'), ['read-write', 'primary']))
    return 'target_session_attrs must be read-write or primary: the service writes';
  if (!isOneOf(asked.get('load_balance_hosts'), ['disable', 'random']))
    return 'load_balance_hosts must be disable or random';
  if (/,/.test(`${asked.get('host') ?? ''}${asked.get('port') ?? ''}`))
    return 'several hosts must stand before the name of the database, separated by commas';
  return undefined;
}

const isOneOf = (value: string | null, allowed: string[]) => value === null || allowed.includes(value);

const queryOf = (url: string) => (URL.canParse(url) ? new URL(url).searchParams : new URLSearchParams());

/** Which server the next connection goes to. All pools of a process share what each of them finds out. */
export class DatabaseServers implements ServerList {
  readonly urls: readonly string[];
  readonly isSpread: boolean;
  readonly mustWrite: boolean;
  /** The one in use, or how many connections there have been. */
  private turn = 0;
  private readonly leftAt = new Map<string, number>();

  constructor({ urls, isSpread, mustWrite }: ServerList) {
    this.urls = urls;
    this.isSpread = isSpread;
    this.mustWrite = mustWrite;
  }

  next(now: number): string {
    if (!this.isSpread) return this.urls[this.turn % this.urls.length] as string;
    const here = this.urls.filter((url) => now - (this.leftAt.get(url) ?? -Infinity) >= AWAY_MILLISECONDS);
    const among = here.length > 0 ? here : this.urls;
    const url = among[this.turn++ % among.length] as string;
    // It is tried by one connection; the others wait for what that one finds.
    if (this.leftAt.has(url)) this.leftAt.set(url, now);
    return url;
  }

  /** A connection to it is open. */
  use(url: string): void {
    this.leftAt.delete(url);
  }

  /** It does not answer, refuses connections, or is read-only. */
  leave(url: string, now: number): void {
    this.leftAt.set(url, now);
    // Of many connections that fail at once, the first one goes on to the next server, and the others follow it.
    if (!this.isSpread && this.urls[this.turn % this.urls.length] === url) this.turn++;
  }
}
