import type { Request } from 'express';
import type { AppConfig } from '../config/env.js';

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;
const LOCAL_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);
/** A request with one of these headers came from elsewhere, through a proxy or a tunnel. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

/** Only with the secret generated for development: a token signed with a real secret would be valid elsewhere. */
export function givesDevelopmentTokens({ environment, jwt }: AppConfig): boolean {
  return environment !== 'production' && jwt.isDevelopmentSecret;
}

/**
 * Whether the request is of a person at this machine, from a page of this service. Other machines may reach a development
 * service, and so may every page in the person's browser: directly, or by a host name that resolves to this machine.
 */
export function isFromThisMachine({ socket, headers }: Request): boolean {
  if (!LOOPBACK.test(socket.remoteAddress ?? '')) return false;
  if (FORWARDED.some((name) => headers[name] !== undefined)) return false;
  const { host, origin } = headers;
  if (host === undefined || !URL.canParse(`http://${host}`)) return false;
  if (!LOCAL_NAMES.has(new URL(`http://${host}`).hostname)) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}
