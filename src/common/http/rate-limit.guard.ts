import { type CanActivate, type ExecutionContext, Inject, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Response } from 'express';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { ServiceError } from '../errors/service-error.js';
import { RequestWindows } from './request-windows.js';

/** 429: more requests than the configured number in the configured window. */
export class RateLimited extends ServiceError {
  constructor(retryAfterSeconds: number) {
    super(429, 'rate_limit.exceeded', 'Too many requests', { retryAfterSeconds });
  }
}

const UNLIMITED = Symbol('unlimited');

/** On a controller or a route: requests are neither counted nor refused. */
export const NoRateLimit = () => SetMetadata(UNLIMITED, true);

interface IdentifiedRequest {
  user?: { userId: string };
  isTrustedService?: boolean;
  ip?: string;
}

/**
 * Counts requests by caller, over all routes: a user, or the address of an unauthenticated client. Trusted services are not
 * limited: they ask for all users together, a hold refused here would stop everyone's chats, and a gateway drops the calls
 * that are answered with 429. The `X-RateLimit-*`
 * headers of the answer give the limit, what is left of it, and the seconds until it begins anew.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  private readonly unlimited = new WeakMap<object, boolean>();

  constructor(
    private readonly reflector: Reflector,
    private readonly windows: RequestWindows,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws RateLimited */
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<IdentifiedRequest>();
    if (request.isTrustedService || this.isUnlimited(context)) return true;
    const { max, windowSeconds } = this.config.rateLimit;
    const { requests, secondsLeft } = this.windows.count(callerOf(request), windowSeconds * 1000, max);
    if (requests > max) throw new RateLimited(Math.max(1, secondsLeft));
    const response = http.getResponse<Response>();
    response.setHeader('X-RateLimit-Limit', max);
    response.setHeader('X-RateLimit-Remaining', max - requests);
    response.setHeader('X-RateLimit-Reset', secondsLeft);
    return true;
  }

  private isUnlimited(context: ExecutionContext): boolean {
    const handler = context.getHandler();
    let unlimited = this.unlimited.get(handler);
    if (unlimited === undefined) {
      unlimited =
        this.reflector.getAllAndOverride<boolean | undefined>(UNLIMITED, [handler, context.getClass()]) ??
        false;
      this.unlimited.set(handler, unlimited);
    }
    return unlimited;
  }
}

function callerOf({ user, ip }: IdentifiedRequest): string {
  return user === undefined ? `address:${ip ?? ''}` : `user:${user.userId}`;
}
