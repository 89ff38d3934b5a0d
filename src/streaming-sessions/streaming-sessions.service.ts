import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { AccountsService } from '../accounts/accounts.service.js';
import { type Caller, seenUser } from '../common/http/caller.js';
import { Movements } from '../common/database/movements.js';
import { AccountNotFound, unknownOutcome } from '../common/errors/service-error.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { BalanceLimit, shortage } from '../credits/credits.errors.js';
import { callOf } from '../pricing/call.js';
import { UnpricedModel } from '../pricing/pricing.errors.js';
import type {
  AbortSessionDto,
  FinalizeSessionDto,
  InitializeSessionDto,
  ProgressDto,
} from './dto/sessions.requests.js';
import { ActiveSessionDto } from './dto/sessions.responses.js';
import { StreamingSession } from './entities/streaming-session.entity.js';
import { OutputLengths } from './output-lengths.sweeper.js';
import {
  HOLD,
  PROGRESS,
  type ProgressAnswer,
  type SessionStartedAnswer,
  SETTLE,
  type SettlementAnswer,
} from './sessions.operations.js';
import { SessionAlreadyEnded, SessionConflict, SessionNotFound } from './streaming-sessions.errors.js';

const OF_LINE = `session.apiKeyId IN (
  SELECT of_line.id FROM api_keys of_line JOIN api_keys own ON own.account_id = of_line.account_id
   WHERE own.account_id = session.accountId AND own.id = :apiKeyId
     AND coalesce(of_line.budget_key_id, of_line.id) = coalesce(own.budget_key_id, own.id))`;

/** Streams and the credits they hold. Rules in README.md beside this file. */
@Injectable()
export class StreamingSessionsService {
  constructor(
    private readonly movements: Movements,
    private readonly metrics: Metrics,
    private readonly accounts: AccountsService,
    private readonly lengths: OutputLengths,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @InjectRepository(StreamingSession) private readonly sessions: Repository<StreamingSession>,
  ) {}

  /**
   * Holds the estimate plus the buffer. Repeated with the same content it gives the same session.
   *
   * @throws AccountNotFound, InsufficientCredits, BudgetExceeded, LimitExceeded, SessionConflict, SessionAlreadyEnded, UnpricedModel
   */
  async initialize(
    caller: Caller,
    request: InitializeSessionDto,
  ): Promise<{ created: boolean; session: SessionStartedAnswer }> {
    const answer = await this.movements.run(HOLD, {
      accountId: caller.accountId,
      userId: caller.userId,
      sessionId: request.sessionId,
      modelId: request.modelId,
      estimatedTokens: request.estimatedTokens,
      estimatedInputTokens: request.inputTokens ?? request.estimatedInputTokens,
      estimatedOutputTokens:
        request.inputTokens === undefined
          ? request.estimatedOutputTokens
          : this.lengths.expected(request.modelId, request.inputTokens),
      maxOutputTokens: request.maxOutputTokens,
      bufferPercent: this.config.sessions.bufferPercent,
      tags: request.tags,
      leaseSeconds: this.config.sessions.leaseSeconds,
      rejectUnpriced: this.config.unpricedModelPolicy === 'reject',
      actor: caller.actor,
      apiKeyId: caller.apiKeyId,
    });
    switch (answer.outcome) {
      case 'created':
      case 'repeated':
        if (answer.outcome === 'created') this.metrics.countHold(answer.estimateSource);
        return { created: answer.outcome === 'created', session: answer };
      case 'insufficient':
      case 'budget_exceeded':
      case 'limit_exceeded':
        this.metrics.countRefusedHold(answer.outcome);
        throw shortage(answer);
      case 'user_not_found':
        throw new AccountNotFound();
      case 'conflict':
        throw new SessionConflict();
      case 'already_ended':
        throw new SessionAlreadyEnded('belongs to a session that has ended: use a new id');
      case 'unpriced':
        throw new UnpricedModel();
      default:
        throw unknownOutcome(answer);
    }
  }

  /** @throws SessionNotFound, SessionAlreadyEnded */
  async progress(caller: Caller, request: ProgressDto): Promise<ProgressAnswer> {
    const answer = await this.movements.run(PROGRESS, {
      accountId: caller.accountId,
      userId: caller.userId,
      sessionId: request.sessionId,
      tokensGenerated: request.tokensGenerated,
      bufferPercent: this.config.sessions.bufferPercent,
      leaseSeconds: this.config.sessions.leaseSeconds,
      maximumAgeSeconds: this.config.sessions.maximumAgeSeconds,
      actor: caller.actor,
      apiKeyId: seeingKeyOf(caller),
    });
    return settled(answer, {
      whenEnded:
        'belongs to a session that has ended: if it timed out, finalize or abort it once to charge what was used',
    });
  }

  /**
   * Charges what was used, also of a session that timed out meanwhile.
   *
   * @throws SessionNotFound, SessionAlreadyEnded, BalanceLimit
   */
  async finalize(caller: Caller, request: FinalizeSessionDto): Promise<SettlementAnswer> {
    const answer = await this.movements.run(SETTLE, {
      accountId: caller.accountId,
      userId: caller.userId,
      sessionId: request.sessionId,
      reason: 'finalized',
      success: request.success,
      ...callOf({ ...request, tokens: request.actualTokens }),
      providerCostUsd: request.providerCostUsd ?? null,
      actor: caller.actor,
      apiKeyId: seeingKeyOf(caller),
    });
    return this.settled(answer, {
      countField: request.actualTokens === undefined ? 'inputTokens' : 'actualTokens',
    });
  }

  /** Charges what was generated until the stream was broken off. @throws SessionNotFound, SessionAlreadyEnded */
  async abort(caller: Caller, request: AbortSessionDto): Promise<SettlementAnswer> {
    const answer = await this.movements.run(SETTLE, {
      accountId: caller.accountId,
      userId: caller.userId,
      sessionId: request.sessionId,
      reason: 'aborted',
      success: false,
      serviceTier: 'standard',
      tokensGenerated: request.tokensGenerated,
      providerCostUsd: null,
      actor: caller.actor,
      apiKeyId: seeingKeyOf(caller),
    });
    return this.settled(answer);
  }

  private settled(...[answer, fields]: Parameters<typeof settled<SettlementAnswer>>): SettlementAnswer {
    const settlement = settled(answer, fields);
    this.metrics.countSettlement(settlement);
    return settlement;
  }

  /** A caller's own active sessions, newest first. @throws AccountNotFound for a user never seen */
  async own(caller: Caller, limit: number): Promise<ActiveSessionDto[]> {
    return this.active(caller.accountId, limit, { userId: seenUser(caller), apiKeyId: seeingKeyOf(caller) });
  }

  /**
   * Active sessions, newest first: of one account, or of all.
   *
   * @param of.userId only those of this member
   * @param of.apiKeyId only those that were started with a key of its line
   * @throws AccountNotFound
   */
  async active(
    accountId: string | undefined,
    limit: number,
    { userId, apiKeyId = null }: { userId?: string | undefined; apiKeyId?: number | null } = {},
  ): Promise<ActiveSessionDto[]> {
    const sessions = this.sessions
      .createQueryBuilder('session')
      .where(`session.status = 'active'`)
      .orderBy('session.startedAt', 'DESC')
      .addOrderBy('session.sessionId')
      .take(limit);
    if (accountId !== undefined) sessions.andWhere('session.accountId = :accountId', { accountId });
    if (userId !== undefined) sessions.andWhere('session.userId = :userId', { userId });
    if (apiKeyId !== null) sessions.andWhere(OF_LINE, { apiKeyId });
    const found = await sessions.getMany();
    if (found.length === 0 && accountId !== undefined && !(await this.accounts.exists(accountId))) {
      throw new AccountNotFound();
    }
    return found.map((session) => ActiveSessionDto.from(session));
  }
}

/** With an API key a caller sees the sessions of its line only; a trusted service that shows one sees all. */
const seeingKeyOf = ({ apiKeyId, isTrustedService }: Caller) => (isTrustedService ? null : apiKeyId);

function settled<Answer>(
  answer: ({ outcome: 'ok' } & Answer) | { outcome: 'session_not_found' | 'already_ended' | 'balance_limit' },
  {
    countField = 'tokensGenerated',
    whenEnded = 'belongs to a session that was already finalized or aborted with other values: the first values stay',
  } = {},
): Answer {
  if (answer.outcome === 'session_not_found') throw new SessionNotFound();
  if (answer.outcome === 'already_ended') throw new SessionAlreadyEnded(whenEnded);
  if (answer.outcome === 'balance_limit') throw new BalanceLimit(countField, Number.MAX_SAFE_INTEGER);
  return answer as Answer;
}
