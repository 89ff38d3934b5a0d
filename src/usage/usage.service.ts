import { Injectable } from '@nestjs/common';
import { type Caller, idempotencyScope } from '../common/http/caller.js';
import { Movements } from '../common/database/movements.js';
import {
  AccountNotFound,
  IdempotencyMismatch,
  unknownOutcome,
  ValidationError,
} from '../common/errors/service-error.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { type RecordUsageDto, utcTime } from './dto/usage.requests.js';
import { DayLimit } from './usage.errors.js';
import { RECORD, type UsageAnswer } from './usage.operations.js';

/** How far back users and their keys may date what they record: every day has room for names that all statistics read. */
const MOST_DAYS_BACK = 35;
const DAY_MILLISECONDS = 86_400_000;

/** Usage that was settled elsewhere. Rules in README.md beside this file. */
@Injectable()
export class UsageService {
  constructor(private readonly movements: Movements) {}

  /**
   * Keeps an event that was settled elsewhere; moves nothing.
   *
   * @throws ValidationError for a time too far back, AccountNotFound, IdempotencyMismatch, DayLimit
   */
  async record(caller: Caller, request: RecordUsageDto, key: string | null): Promise<UsageAnswer> {
    if (!caller.isTrustedService) requireRecent(request.timestamp);
    const answer = await this.movements.run(RECORD, {
      accountId: caller.accountId,
      userId: caller.userId,
      timestamp: request.timestamp === undefined ? null : utcTime(request.timestamp),
      service: request.service,
      recordedOperation: request.operation,
      credits: request.credits,
      metadata: request.metadata ?? {},
      tags: request.tags,
      apiKeyId: caller.apiKeyId,
      ...idempotencyOf(idempotencyScope(caller), 'record', key, {
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
      case 'day_limit':
        throw new DayLimit();
      default:
        throw unknownOutcome(answer);
    }
  }
}

function requireRecent(time: string | undefined): void {
  if (time === undefined || Date.parse(time) >= Date.now() - MOST_DAYS_BACK * DAY_MILLISECONDS) return;
  const message = `must not be more than ${MOST_DAYS_BACK} days in the past`;
  throw new ValidationError([{ field: 'timestamp', message }]);
}
