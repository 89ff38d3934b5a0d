import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import type { Author } from '../common/http/author.js';
import { type Caller, idempotencyScope } from '../common/http/caller.js';
import { Movements } from '../common/database/movements.js';
import {
  AccountNotFound,
  IdempotencyMismatch,
  unknownOutcome,
  ValidationError,
} from '../common/errors/service-error.js';
import { canonicalJson, idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { shortage } from '../credits/credits.errors.js';
import { callOf } from '../pricing/call.js';
import { UnpricedModel } from '../pricing/pricing.errors.js';
import type { ChargeUsageDto, ReviewUsageDto } from './dto/usage.requests.js';
import { type UsagePageDto, UsageRecordDto } from './dto/usage.responses.js';
import { UsageRecord } from './entities/usage-record.entity.js';
import {
  AlreadyReviewed,
  NotInReview,
  RequestMismatch,
  UsageChanged,
  UsageNotFound,
} from './usage.errors.js';
import { CHARGE, type ChargeAnswer, REVIEW, type UsageAnswer } from './usage.operations.js';

/** Charges of finished calls, and the review of what could not be charged. Rules in README.md beside this file. */
@Injectable()
export class UsageChargesService {
  constructor(
    private readonly movements: Movements,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @InjectRepository(UsageRecord) private readonly records: Repository<UsageRecord>,
  ) {}

  /**
   * Prices, debits and records one finished call. Repeated with the same request id it answers with the same record.
   *
   * @throws AccountNotFound, InsufficientCredits, BudgetExceeded, LimitExceeded, RequestMismatch, IdempotencyMismatch, UnpricedModel;
   *   ValidationError for credits that a user names
   */
  async charge(caller: Caller, request: ChargeUsageDto, key: string | null): Promise<ChargeAnswer> {
    if (request.credits !== undefined && !caller.isTrustedService) {
      throw new ValidationError([{ field: 'credits', message: 'may be given by a trusted service only' }]);
    }
    const content = { ...request, userId: caller.userId };
    const answer = await this.movements.run(CHARGE, {
      accountId: caller.accountId,
      userId: caller.userId,
      requestId: request.requestId,
      contentHash: createHash('sha256').update(canonicalJson(content)).digest('hex'),
      modelId: request.modelId,
      credits: request.credits,
      ...callOf(request),
      service: request.service,
      metadata: request.metadata ?? {},
      tags: request.tags,
      timestamp: null,
      providerCostUsd: request.providerCostUsd ?? null,
      billingStatus: request.billingStatus,
      onInsufficient: request.onInsufficient,
      rejectUnpriced: this.config.unpricedModelPolicy === 'reject',
      actor: caller.actor,
      apiKeyId: caller.apiKeyId,
      ...idempotencyOf(idempotencyScope(caller), 'charge', key, content),
    });
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'insufficient':
      case 'budget_exceeded':
      case 'limit_exceeded':
        throw shortage(answer);
      case 'user_not_found':
        throw new AccountNotFound();
      case 'request_mismatch':
        throw new RequestMismatch();
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      case 'unpriced':
        throw new UnpricedModel();
      default:
        throw unknownOutcome(answer);
    }
  }

  /** Records that wait for a review, those first that have waited longest. */
  async needsReview({ limit, cursor }: PageQueryDto): Promise<UsagePageDto> {
    const after = decodeCursor(cursor);
    const records = this.records
      .createQueryBuilder('r')
      .where(`r.billingStatus = 'needs_review'`)
      .orderBy('r.timestamp')
      .addOrderBy('r.id')
      .limit(limit + 1);
    if (after !== undefined) {
      records.andWhere(
        '(r.timestamp, r.id) > (SELECT c.timestamp, c.id FROM usage_records c WHERE c.id = :after)',
        { after },
      );
    }
    return toPage(await records.getMany(), limit, (record) => UsageRecordDto.from(record));
  }

  /**
   * Bills or waives what a record still has open, in the version that the request names.
   *
   * @throws UsageNotFound, NotInReview, AlreadyReviewed, UsageChanged, InsufficientCredits, IdempotencyMismatch
   */
  async review(
    caller: Author,
    usageId: number,
    request: ReviewUsageDto,
    key: string | null,
  ): Promise<UsageAnswer> {
    // The one look-up by a record's id alone: an admin names the record, and every later statement names its account.
    const record = await this.records.findOne({ select: { accountId: true }, where: { id: usageId } });
    if (record === null) throw new UsageNotFound();
    const answer = await this.movements.run(REVIEW, {
      accountId: record.accountId,
      usageId,
      version: request.version,
      action: request.action,
      credits: request.credits ?? null,
      actor: caller.actor,
      origin: caller.origin,
      ...idempotencyOf(idempotencyScope(caller), 'review', key, { ...request, usageId }),
    });
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'insufficient':
      case 'budget_exceeded':
      case 'limit_exceeded':
        throw shortage(answer);
      case 'usage_not_found':
        throw new UsageNotFound();
      case 'not_in_review':
        throw new NotInReview();
      case 'already_reviewed':
        throw new AlreadyReviewed();
      case 'changed':
        throw new UsageChanged();
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw unknownOutcome(answer);
    }
  }
}
