import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { ServiceError } from '../errors/service-error.js';
import { NoTurn, Turns } from '../turns.js';
import type { AuthenticatedRequest } from './caller.js';

/** 429: more requests of one caller under way and waiting than one caller may have. */
export class TooManyAtOnce extends ServiceError {
  constructor() {
    super(429, 'rate_limit.at_once', 'You have too many requests in progress at once', {
      retryAfterSeconds: 1,
    });
  }
}

/** As many movements of one account as keep it busy: a full statement under way, and the next one gathering. */
const UNDER_WAY_PER_CALLER = 128;
const WAITING_PER_CALLER = 1000;
const WAITING_IN_ALL = 10_000;

/**
 * Whose turns a request takes: the user's, or those of a trusted service for the user, whether it names the user or
 * forwards the user's token, so that no user can keep a service waiting. Undefined when there is no caller, and for a
 * trusted service that names no user: it works for all of them together.
 */
export function callerOf(request: Request): string | undefined {
  const { user } = request as AuthenticatedRequest;
  if (user === undefined || user.userId === '') return undefined;
  return user.isTrustedService ? `internal:${user.userId}` : `user:${user.userId}`;
}

/**
 * A bounded number of requests of one caller is under way in this process, on all routes together, from here until the
 * answer has been taken; the others wait. So whatever one caller asks for, others find a place in every line, and the
 * answers that one caller does not read have a bounded size.
 *
 * A trusted service that names the user in the body has no turn here: NamedUserGuard asks again when it has read the name.
 */
@Injectable()
export class CallerTurnsGuard implements CanActivate {
  private readonly turns: Turns;

  constructor(@Inject(APP_CONFIG) config: AppConfig) {
    this.turns = new Turns({
      perKey: UNDER_WAY_PER_CALLER,
      inAll: Infinity,
      patienceMilliseconds: config.database.connectTimeoutMilliseconds,
      waitingPerKey: WAITING_PER_CALLER,
      waitingInAll: WAITING_IN_ALL,
    });
  }

  /** @throws TooManyAtOnce */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<Request>();
    const caller = callerOf(request);
    if (caller === undefined) return true;
    const response = http.getResponse<Response>();
    const end = this.turns.takeFree(caller);
    return end === undefined ? this.wait(caller, response) : endWith(response, end);
  }

  private async wait(caller: string, response: Response): Promise<boolean> {
    const hungUp = new AbortController();
    const hangUp = () => hungUp.abort();
    response.once('close', hangUp);
    try {
      return endWith(response, await this.turns.take(caller, hungUp.signal));
    } catch (error) {
      throw error instanceof NoTurn ? new TooManyAtOnce() : error;
    } finally {
      response.off('close', hangUp);
    }
  }
}

/** Ends a turn when the answer has been taken, or cannot be. */
export function endWith(response: Response, end: () => void): true {
  if (response.destroyed) end();
  else response.once('close', end);
  return true;
}
