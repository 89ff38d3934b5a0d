import { ApiProperty } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import { LimitDto } from '../../common/http/problem.dto.js';
import { isoTime } from '../../common/http/time.js';
import { PRICING_SOURCES } from '../../pricing/price.js';
import {
  ESTIMATE_SOURCES,
  type EstimateSource,
  type ProgressAnswer,
  type SessionStartedAnswer,
  type SettlementAnswer,
} from '../sessions.operations.js';
import type { StreamingSession } from '../entities/streaming-session.entity.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const COMPLETED = {
  ...TIME,
  nullable: true,
  description: 'When the session ended; null while it is active',
} as const;
const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const STATUS = {
  enum: ['active', 'completed', 'failed'],
  enumName: 'SessionStatus',
  example: 'active',
} as const;
/** As refusals name them. */
const REASONS = {
  insufficient: 'credits.insufficient',
  budget_exceeded: 'budget.exceeded',
  limit_exceeded: 'limit.exceeded',
  not_a_member: 'account.not_found',
} as const;
const STOP_REASONS = Object.values(REASONS);
const LATE = { description: 'Whether the session had already timed out', example: false } as const;

export class SessionStartedDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'session-1' }) sessionId: string;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ example: MODEL }) modelId: string;
  @ApiProperty({ ...CREDITS, description: 'Cost of the estimate', example: 3 }) estimatedCredits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits held: the cost of the estimate plus the buffer',
    example: 4,
  })
  allocatedCredits: number;
  @ApiProperty({ ...CREDITS, example: 0 }) usedCredits: number;
  @ApiProperty(STATUS) status: 'active' | 'completed' | 'failed';
  @ApiProperty(TIME) startedAt: string;
  @ApiProperty({ ...TIME, description: 'End of the lease, which progress renews' }) expiresAt: string;
  @ApiProperty({ ...COMPLETED, example: null }) completedAt: string | null;
  @ApiProperty({
    ...CREDITS,
    description:
      'Credits left after the hold: the balance; in an organisation no more than fits the budgets of the call',
    example: 996,
  })
  remainingCredits: number;
  @ApiProperty({
    enum: PRICING_SOURCES,
    enumName: 'PricingSource',
    description: 'Where the price comes from',
    example: 'default',
  })
  pricingSource: string;
  @ApiProperty({
    description:
      'The model of the rule, or the pattern of models; differs from `modelId` where that has no rule of its own',
    example: 'anthropic.claude-3-sonnet-20240229-v1:0',
  })
  pricedAs: string;
  @ApiProperty({
    enum: ESTIMATE_SOURCES,
    enumName: 'EstimateSource',
    description:
      'Who estimated the output tokens: the `caller`, the service from earlier calls (`learned`), or none: the hold covers ' +
      '`maxOutputTokens` (`ceiling`)',
    example: 'caller',
  })
  estimateSource: EstimateSource;
  @ApiProperty({
    ...CREDITS,
    nullable: true,
    description:
      'The output tokens that the balance and the budgets could pay for at the start, the hold included, at most 10^9; null ' +
      'without `maxOutputTokens`',
    example: null,
  })
  maxAffordableTokens: number | null;

  static from(answer: SessionStartedAnswer): SessionStartedDto {
    return {
      id: answer.id,
      sessionId: answer.sessionId,
      accountId: answer.accountId,
      userId: answer.userId,
      modelId: answer.modelId,
      estimatedCredits: answer.estimatedCredits,
      allocatedCredits: answer.allocatedCredits,
      usedCredits: answer.usedCredits,
      status: answer.status,
      startedAt: isoTime(answer.startedAt),
      expiresAt: isoTime(answer.expiresAt),
      completedAt: answer.completedAt === null ? null : isoTime(answer.completedAt),
      remainingCredits: answer.remainingCredits,
      pricingSource: answer.pricingSource,
      pricedAs: answer.pricedAs,
      estimateSource: answer.estimateSource,
      maxAffordableTokens: answer.maxAffordableTokens,
    };
  }
}

export class SessionProgressDto {
  @ApiProperty({ example: 'session-1' }) sessionId: string;
  @ApiProperty(STATUS) status: string;
  @ApiProperty({ ...CREDITS, description: 'Highest number of tokens reported so far', example: 500 })
  tokensGenerated: number;
  @ApiProperty({ ...CREDITS, description: 'Cost of these tokens', example: 2 }) usedCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held', example: 4 }) allocatedCredits: number;
  @ApiProperty({
    description:
      'Whether the stream should be stopped because the credits do not cover what it needs next, or because the user is ' +
      'no longer a member of the organisation',
    example: true,
  })
  shouldStop: boolean;
  @ApiProperty({
    enum: STOP_REASONS,
    enumName: 'StopReason',
    nullable: true,
    description:
      'What stands in the way of going on: the balance, a budget of credits, a limit of tokens or sessions, or that the user ' +
      'is no longer a member of the organisation (`account.not_found`); null if `shouldStop` is false',
    example: 'budget.exceeded',
  })
  reason: (typeof STOP_REASONS)[number] | null;
  @ApiProperty({ type: () => [LimitDto], description: 'Every budget that stands in the way' })
  limits: LimitDto[];
  @ApiProperty({
    ...CREDITS,
    description:
      'The number of generated tokens that the hold and the balance can pay for, at most 10^9: output ' +
      'tokens if the session was started with estimates of input and output tokens, otherwise total ' +
      'tokens',
    example: 500,
  })
  maxAffordableTokens: number;
  @ApiProperty({ ...TIME, description: 'The new end of the lease' }) expiresAt: string;

  static from(answer: ProgressAnswer): SessionProgressDto {
    return {
      sessionId: answer.sessionId,
      status: answer.status,
      tokensGenerated: answer.tokensGenerated,
      usedCredits: answer.usedCredits,
      allocatedCredits: answer.allocatedCredits,
      shouldStop: answer.shouldStop,
      reason: answer.reason === null ? null : REASONS[answer.reason],
      limits: answer.limits,
      maxAffordableTokens: answer.maxAffordableTokens,
      expiresAt: isoTime(answer.expiresAt),
    };
  }
}

/** A hard budget that a settlement above its hold has exceeded. */
export class OverrunDto {
  @ApiProperty(ID) budgetId: number;
  @ApiProperty({ ...CREDITS, minimum: 1, description: 'By how much, in the unit of the budget', example: 3 })
  by: number;
}
const OVERRUN = {
  type: () => [OverrunDto],
  description: 'The hard budgets that this settlement has exceeded because it cost more than its hold',
};

export class SessionSettledDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'session-1' }) sessionId: string;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ enum: ['completed', 'failed'], enumName: 'SettledSessionStatus', example: 'completed' })
  status: 'completed' | 'failed';
  @ApiProperty({ ...CREDITS, example: 3 }) estimatedCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Cost of the call', example: 3 }) actualCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits of the hold that were returned', example: 1 })
  refund: number;
  @ApiProperty({ ...CREDITS, description: 'Cost above the hold', example: 0 }) overage: number;
  @ApiProperty({
    ...CREDITS,
    description:
      'The part of the cost that waits for review: the account could not pay it, or no class of the usage explains it',
    example: 0,
  })
  uncollected: number;
  @ApiProperty(OVERRUN) overrun: OverrunDto[];
  @ApiProperty(LATE) late: boolean;
  @ApiProperty(TIME) completedAt: string;

  static from(answer: SettlementAnswer): SessionSettledDto {
    return {
      id: answer.id,
      sessionId: answer.sessionId,
      accountId: answer.accountId,
      userId: answer.userId,
      status: answer.status,
      estimatedCredits: answer.estimatedCredits,
      actualCredits: answer.actualCredits,
      refund: answer.refund,
      overage: answer.overage,
      uncollected: answer.uncollected,
      overrun: answer.overrun,
      late: answer.late,
      completedAt: isoTime(answer.completedAt),
    };
  }
}

export class SessionAbortedDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'session-1' }) sessionId: string;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ enum: ['aborted'], example: 'aborted' }) status: 'aborted';
  @ApiProperty({ ...CREDITS, description: 'Cost of the tokens generated', example: 1 })
  partialCredits: number;
  @ApiProperty({ ...CREDITS, example: 3 }) refund: number;
  @ApiProperty({ ...CREDITS, example: 0 }) overage: number;
  @ApiProperty({ ...CREDITS, example: 0 }) uncollected: number;
  @ApiProperty(OVERRUN) overrun: OverrunDto[];
  @ApiProperty(LATE) late: boolean;
  @ApiProperty(TIME) completedAt: string;

  static from(answer: SettlementAnswer): SessionAbortedDto {
    return {
      id: answer.id,
      sessionId: answer.sessionId,
      accountId: answer.accountId,
      userId: answer.userId,
      status: 'aborted',
      partialCredits: answer.actualCredits,
      refund: answer.refund,
      overage: answer.overage,
      uncollected: answer.uncollected,
      overrun: answer.overrun,
      late: answer.late,
      completedAt: isoTime(answer.completedAt),
    };
  }
}

export class ActiveSessionDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'session-1' }) sessionId: string;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ example: MODEL }) modelId: string;
  @ApiProperty({ ...CREDITS, example: 3 }) estimatedCredits: number;
  @ApiProperty({ ...CREDITS, example: 4 }) allocatedCredits: number;
  @ApiProperty({ ...CREDITS, example: 2 }) usedCredits: number;
  @ApiProperty({ ...CREDITS, example: 500 }) tokensGenerated: number;
  @ApiProperty(STATUS) status: string;
  @ApiProperty(TIME) startedAt: string;
  @ApiProperty(TIME) expiresAt: string;
  @ApiProperty({ ...COMPLETED, example: null }) completedAt: string | null;

  static from(session: StreamingSession): ActiveSessionDto {
    return {
      id: session.id,
      sessionId: session.sessionId,
      accountId: session.accountId,
      userId: session.userId,
      modelId: session.modelId,
      estimatedCredits: session.estimatedCredits,
      allocatedCredits: session.allocatedCredits,
      usedCredits: session.usedCredits,
      tokensGenerated: session.tokensGenerated,
      status: session.status,
      startedAt: isoTime(session.startedAt),
      expiresAt: isoTime(session.expiresAt),
      completedAt: session.completedAt === null ? null : isoTime(session.completedAt),
    };
  }
}
