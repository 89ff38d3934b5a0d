import { type ExecutionContext, Injectable } from '@nestjs/common';
import { ThrottlerGuard, type ThrottlerLimitDetail, type ThrottlerModuleOptions } from '@nestjs/throttler';
import type { Response } from 'express';
import type { AppConfig } from '../../config/env.js';
import { ServiceError } from '../errors/service-error.js';
import { RequestWindows } from './request-windows.js';

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
 * Counts requests by caller, over all routes: a user, or the address of an unauthenticated client. Trusted services are not
 * limited: they ask for all users together, a hold refused here would stop everyone's chats, and a gateway drops the calls
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
  return user === undefined ? `address:${ip ?? ''}` : `user:${user.userId}`;
}

/** The library's guard, which refuses in the form of every other error. */
@Injectable()
export class RateLimitGuard extends ThrottlerGuard {
  /** @throws RateLimited */
  protected override throwThrottlingException(
    _context: ExecutionContext,
    { timeToBlockExpire }: ThrottlerLimitDetail,
  ): Promise<void> {
    throw new RateLimited(timeToBlockExpire);
  }
  /** These are no content types, which is what Express would look at. */
  protected override setResponseHeader(response: Response, name: string, value: string | number): void {
    response.setHeader(name, value);
  }
}
