import { Injectable } from '@nestjs/common';
import { type Caller, idempotencyScope } from '../auth/caller.js';
import { AccountNotFound, IdempotencyMismatch } from '../common/errors/service-error.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import type { UsageAnswer } from '../credits/money-answers.js';
import { MoneyFunctions } from '../credits/money-functions.js';
import { type RecordUsageDto, utcTime } from './dto/usage.requests.js';

/** Usage that was settled elsewhere. Rules in README.md beside this file. */
@Injectable()
export class UsageService {
  constructor(private readonly money: MoneyFunctions) {}

  /** Keeps an event that was settled elsewhere; moves nothing. @throws AccountNotFound, IdempotencyMismatch */
  async record(caller: Caller, request: RecordUsageDto, key: string | null): Promise<UsageAnswer> {
    const answer = await this.money.record({
      userId: caller.userId,
      timestamp: request.timestamp === undefined ? null : utcTime(request.timestamp),
      service: request.service,
      operation: request.operation,
      credits: request.credits,
      metadata: request.metadata ?? {},
      apiKeyId: caller.apiKeyId,
      idempotency: idempotencyOf(idempotencyScope(caller), 'record', key, {
        ...request,
        userId: caller.userId,
      }),
    });
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'user_not_found':
        throw new AccountNotFound();
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
    }
  }
}
