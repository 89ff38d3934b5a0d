import { type ExecutionContext, Injectable } from '@nestjs/common';
import {
  ThrottlerGuard,
  type ThrottlerLimitDetail,
  type ThrottlerModuleOptions,
  type ThrottlerStorage,
} from '@nestjs/throttler';
import ipaddr from 'ipaddr.js';
import type { AppConfig } from '../../config/env.js';
import { ServiceError } from '../errors/service-error.js';
import { ADDRESS, RequestWindows } from './request-windows.js';

/** 429: more requests than the configured number in the configured window. */
export class RateLimited extends ServiceError {
  static readonly example = new RateLimited(60);

  constructor(retryAfterSeconds: number) {
    super(429, 'rate_limit.exceeded', 'Too many requests', { retryAfterSeconds });
  }
}

interface IdentifiedRequest {
  user?: { userId: string };
  isTrustedService?: boolean;
  ip?: string;
}

/**
 * Counts requests by caller, over all routes: a user, or the address of an unauthenticated client (of IPv6 its /64). Trusted
 * services are not limited: they ask for all users together, a hold refused here would stop everyone's chats, and a gateway drops the calls
 * that are answered with 429. The `X-RateLimit-*` headers of the answer give the limit, what is left of it, and the seconds
 * until it begins anew.
 */
export function rateLimit({ rateLimit: { max, windowSeconds } }: AppConfig): ThrottlerModuleOptions {
  return {
    throttlers: [{ limit: max, ttl: windowSeconds * 1000 }],
    storage: new RequestWindows(),
    skipIf: (context) => context.switchToHttp().getRequest<IdentifiedRequest>().isTrustedService === true,
    getTracker: callerOf,
    // One count for all routes; the library's key has the route in it.
    generateKey: (_context, caller) => caller,
  };
}

function callerOf({ user, ip }: IdentifiedRequest): string {
  return user === undefined ? ADDRESS + networkOf(ip ?? '') : `user:${user.userId}`;
}

/** Of an IPv6 address the /64, which is the least that one client has; of others the address itself. */
export function networkOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString();
}

/**
 * Counts a change that may emit events, to every endpoint.
 *
 * @param turn whose changes are counted together
 * @param max in a minute
 * @throws RateLimited
 */
export async function countChange(storage: ThrottlerStorage, turn: string, max: number): Promise<void> {
  const window = await storage.increment(turn, 60_000, max, 0, turn);
  if (window.isBlocked) throw new RateLimited(window.timeToBlockExpire);
}

/** Counts a request that no route has taken, by its address: who sent it is not looked at. @throws RateLimited */
export async function countStranger(
  storage: ThrottlerStorage,
  { rateLimit: { max, windowSeconds } }: AppConfig,
  { ip = '' }: Pick<IdentifiedRequest, 'ip'>,
): Promise<void> {
  const window = await storage.increment(callerOf({ ip }), windowSeconds * 1000, max, 0, '');
  if (window.isBlocked) throw new RateLimited(window.timeToBlockExpire);
}

/** The library's guard, which refuses in the form of every other error. It takes 2 µs of a request (Node 20.20). */
@Injectable()
export class RateLimitGuard extends ThrottlerGuard {
  /** @throws RateLimited */
  protected override throwThrottlingException(
    _context: ExecutionContext,
    { timeToBlockExpire }: ThrottlerLimitDetail,
  ): Promise<void> {
    throw new RateLimited(timeToBlockExpire);
  }
}
