import type { Request, Response } from 'express';
import type { SignInConfig } from '../config/env.js';

/**
 * What the console sends with each request that its cookie is to count for. A page of another origin can send it only if a
 * preflight allows that, and CORS here never does.
 */
export const CONSOLE_HEADER = 'x-requested-by';
const CONSOLE = 'console';
/** The console's pages; a person is sent back to no other. */
const PAGES = /^\/console(\/|$)/;
const HOME = '/console';
/** Of an address that a sign-in comes back to: several attempts fit in the headers of a request together. */
const MAXIMUM_ADDRESS_LENGTH = 500;

/**
 * Whether the console itself sent a request: by its header, and by what the browser says of the page. Browsers say at
 * least one of both with each request of a page's script to its own origin (https or this machine).
 */
export function isFromConsole({ headers }: Request, publicUrl: string): boolean {
  const { origin, 'sec-fetch-site': site } = headers;
  if (headers[CONSOLE_HEADER] !== CONSOLE || (origin ?? site) === undefined) return false;
  return (origin ?? publicUrl) === publicUrl && (site ?? 'same-origin') === 'same-origin';
}

/** An address of the console as path and query; for everything else its first page, so that no one is led elsewhere. */
export function consoleAddress(wanted: unknown, publicUrl: string): string {
  if (typeof wanted !== 'string' || !URL.canParse(wanted, publicUrl)) return HOME;
  const { origin, pathname, search } = new URL(wanted, publicUrl);
  const isOurs = origin === publicUrl && PAGES.test(pathname);
  return isOurs && (pathname + search).length <= MAXIMUM_ADDRESS_LENGTH ? pathname + search : HOME;
}

/** The names of the cookies that a request has. */
export const cookieNames = ({ headers }: Request) =>
  (headers.cookie ?? '').split(';').map((pair) => pair.trim().replace(/=.*$/s, ''));

/** A cookie of this service. With https its name makes browsers refuse it from other hosts of the domain (`__Host-`). */
export class Cookie {
  private readonly name: string;

  constructor(
    { publicUrl }: SignInConfig,
    name: string,
    /** `strict`: never sent with a request that another site begins. `lax`: also when another site sends the person here. */
    private readonly sameSite: 'strict' | 'lax',
    private readonly seconds: number,
    private readonly isSecure = publicUrl.startsWith('https:'),
  ) {
    this.name = (isSecure ? '__Host-' : '') + name;
  }

  /** Undefined also where there are two of that name: one of them is not ours. */
  of({ headers }: Request): string | undefined {
    const values = (headers.cookie ?? '')
      .split(';')
      .map((pair) => pair.trim())
      .filter((pair) => pair.startsWith(`${this.name}=`));
    return values.length === 1 ? values[0]?.slice(this.name.length + 1) : undefined;
  }

  set(response: Response, value: string): void {
    response.cookie(this.name, value, { ...this.attributes, maxAge: this.seconds * 1000 });
  }

  clear(response: Response): void {
    response.clearCookie(this.name, this.attributes);
  }

  private get attributes() {
    return { httpOnly: true, secure: this.isSecure, sameSite: this.sameSite, path: '/' };
  }
}
