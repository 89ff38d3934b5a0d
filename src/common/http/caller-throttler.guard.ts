import { type ExecutionContext, Injectable } from '@nestjs/common';
import { ThrottlerGuard } from '@nestjs/throttler';
import { ServiceError } from '../errors/service-error.js';

/** 429: more requests than the configured number in the configured window. */
export class RateLimited extends ServiceError {
  constructor(retryAfterSeconds: number) {
    super(429, 'rate_limit.exceeded', 'Too many requests', { retryAfterSeconds });
  }
}

interface IdentifiedRequest {
  user?: { kind: string; userId: string };
  ip?: string;
}

/** Counts requests by caller: a user, the trusted services together, or the address of someone who is nobody. */
@Injectable()
export class CallerThrottlerGuard extends ThrottlerGuard {
  protected override getTracker(request: IdentifiedRequest): Promise<string> {
    const { user } = request;
    if (user?.kind === 'internal') return Promise.resolve('internal');
    return Promise.resolve(user ? `user:${user.userId}` : `address:${request.ip ?? ''}`);
  }

  /** One count over all routes: the limit is what a caller may do in all. */
  protected override generateKey(_context: ExecutionContext, tracker: string): string {
    return tracker;
  }

  protected override throwThrottlingException(
    _context: ExecutionContext,
    detail: { timeToBlockExpire: number },
  ): Promise<void> {
    throw new RateLimited(Math.max(1, Math.ceil(detail.timeToBlockExpire)));
  }
}
