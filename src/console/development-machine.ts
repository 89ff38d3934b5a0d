import type { Request } from 'express';
import type { AppConfig } from '../config/env.js';

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;
const LOCAL_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);
/** Whoever is named here is somewhere else, and came through a proxy or a tunnel. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

/** Only with the secret that was made here for development: a token by a real one could be used elsewhere. */
export function givesDevelopmentTokens({ environment, jwt }: AppConfig): boolean {
  return environment !== 'production' && jwt.isDevelopmentSecret;
}

/**
 * Whether a person at this machine asks, from a page of this service. Other machines may reach a development service,
 * and so may every page that the person has open: directly, or under a name of its own that leads here.
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
