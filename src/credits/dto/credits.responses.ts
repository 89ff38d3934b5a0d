import { ApiProperty } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import { isoTime } from '../../common/http/time.js';
import { rulePrices } from '../../pricing/components.js';
import { ClassAmountDto } from '../../pricing/dto/call.responses.js';
import { PRICING_SOURCES, type PricingSource, type Quote } from '../../pricing/price.js';
import type { AllocationAnswer, DeductionAnswer } from '../credits.operations.js';
import { LEDGER_KINDS, type LedgerEntry, type LedgerKind } from '../entities/ledger-entry.entity.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;

export class ActiveAllocationDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ ...CREDITS, description: 'Credits left in this lot', example: 996 }) credits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits originally allocated', example: 1000 })
  totalCredits: number;
  @ApiProperty(TIME) expiresAt: string;
  @ApiProperty(TIME) allocatedAt: string;
}

export class BalanceDto {
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ ...CREDITS, description: 'Credits that can be spent now', example: 996 })
  totalCredits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits held by active sessions, not included in `totalCredits`',
    example: 4,
  })
  heldCredits: number;
  @ApiProperty({
    type: () => [ActiveAllocationDto],
    description: 'The first 1,000 lots with credits, ordered by expiry',
  })
  activeAllocations: ActiveAllocationDto[];
}

export class CheckCreditsAnswerDto {
  @ApiProperty({ example: true }) hasSufficientCredits: boolean;
  @ApiProperty({ ...CREDITS, example: 100 }) requiredCredits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'What the caller can spend: for an API key with a limit, no more than is left of the limit',
    example: 996,
  })
  availableCredits: number;
}

export class QuoteDto {
  @ApiProperty({ example: 'anthropic.claude-3-sonnet-20240229-v1:0' }) modelId: string;
  @ApiProperty({ ...CREDITS, description: 'Cost of the call, rounded up', example: 3 })
  credits: number;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'What the provider charges, in USD, exact; null if unknown',
    example: null,
  })
  providerCostUsd: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Blended price in credits per 1,000 tokens; null if the rule prices no text tokens',
    example: '3',
  })
  pricePerThousandTokens: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Price in credits per 1,000 tokens; null if the blended price applies',
    example: null,
  })
  pricePerThousandInputTokens: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Price in credits per 1,000 tokens; null if the blended price applies',
    example: null,
  })
  pricePerThousandOutputTokens: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Price in credits per 1,000 tokens; null if the input price applies',
    example: null,
  })
  pricePerThousandCachedInputTokens: string | null;
  @ApiProperty({
    enum: PRICING_SOURCES,
    enumName: 'PricingSource',
    description:
      '`rule`: a pricing rule; `default`: a built-in price; `fallback`: no price is set, so the price is ' +
      '1 credit per 1,000 tokens',
    example: 'default',
  })
  pricingSource: PricingSource;
  @ApiProperty({ ...ID, description: 'The pricing rule' }) pricingRuleId: number;
  @ApiProperty({
    description:
      'The model of the rule, or the pattern of models; differs from `modelId` where that has no rule of its own',
    example: 'anthropic.claude-3-sonnet-20240229-v1:0',
  })
  pricedAs: string;
  @ApiProperty({ type: () => [ClassAmountDto], description: 'What each class costs, before the rounding' })
  classes: ClassAmountDto[];

  static from(modelId: string, quote: Quote): QuoteDto {
    const prices = rulePrices(quote.components);
    return {
      modelId,
      credits: quote.credits,
      providerCostUsd: quote.providerCostUsd,
      pricePerThousandTokens: prices.pricePerThousandTokens,
      pricePerThousandInputTokens: prices.pricePerThousandInputTokens,
      pricePerThousandOutputTokens: prices.pricePerThousandOutputTokens,
      pricePerThousandCachedInputTokens: prices.pricePerThousandCachedInputTokens,
      pricingSource: quote.pricingSource,
      pricingRuleId: quote.pricingRuleId,
      pricedAs: quote.pricedAs,
      classes: quote.classes,
    };
  }
}

export class AllocationDto {
  @ApiProperty(ID) id: number;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ ...CREDITS, example: 1000 }) totalCredits: number;
  @ApiProperty({ ...CREDITS, example: 1000 }) remainingCredits: number;
  @ApiProperty({ description: 'Who allocated the credits', example: 'boss' }) allocatedBy: string;
  @ApiProperty(TIME) allocatedAt: string;
  @ApiProperty(TIME) expiresAt: string;
  @ApiProperty({ type: 'string', nullable: true, example: 'Monthly budget' }) notes: string | null;
  @ApiProperty({
    required: false,
    description: 'Whether the allocation created the account because the user was not known',
    example: false,
  })
  accountCreated?: boolean;

  static from(lot: AllocationAnswer): AllocationDto {
    return {
      id: lot.id,
      accountId: lot.accountId,
      userId: lot.userId,
      totalCredits: lot.totalCredits,
      remainingCredits: lot.remainingCredits,
      allocatedBy: lot.allocatedBy,
      allocatedAt: isoTime(lot.allocatedAt),
      expiresAt: isoTime(lot.expiresAt),
      notes: lot.notes,
      ...(lot.accountCreated !== undefined && { accountCreated: lot.accountCreated }),
    };
  }
}

export class DeductionDto {
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ ...CREDITS, example: 5 }) deducted: number;
  @ApiProperty({ ...CREDITS, description: 'Available credits after the deduction', example: 991 })
  totalCredits: number;

  static from(answer: DeductionAnswer): DeductionDto {
    return {
      accountId: answer.accountId,
      userId: answer.userId,
      deducted: answer.deducted,
      totalCredits: answer.totalCredits,
    };
  }
}

export class LedgerEntryDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ enum: LEDGER_KINDS, enumName: 'LedgerKind', example: 'hold' }) kind: LedgerKind;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    description:
      'Credits added to the lot (positive) or taken from it (negative); 0 for a correction of the ' +
      'balance only',
    example: -4,
  })
  credits: number;
  @ApiProperty({
    ...CREDITS,
    nullable: true,
    description:
      'Available credits after this entry; null for plain members of an organisation, who do not see its balance',
    example: 996,
  })
  balanceAfter: number | null;
  @ApiProperty({
    ...ID,
    nullable: true,
    description: 'Id of the lot; null for a correction of the balance only',
  })
  allocationId: number | null;
  @ApiProperty({ type: 'string', nullable: true, example: 'session-1' }) sessionId: string | null;
  @ApiProperty({ ...ID, nullable: true, description: 'Id of the usage record', example: null }) usageId:
    number | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Who spent; null if neither a session nor a charge is the cause',
    example: 'alice',
  })
  userId: string | null;
  @ApiProperty({ ...ID, nullable: true, description: 'Unit of the organisation', example: null }) unitId:
    number | null;
  @ApiProperty({ ...ID, nullable: true, description: 'API key that was used', example: null }) apiKeyId:
    number | null;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    nullable: true,
    description: 'What the call was for',
    example: { feature: 'search' },
  })
  tags: Record<string, string> | null;
  @ApiProperty({ description: 'Who made the change: a user id or `service:…`', example: 'alice' })
  actor: string;
  @ApiProperty({ type: 'string', nullable: true, example: null }) notes: string | null;
  @ApiProperty(TIME) createdAt: string;

  static from(entry: LedgerEntry, tags: Record<string, string> | null): LedgerEntryDto {
    return {
      id: entry.id,
      kind: entry.kind,
      credits: entry.credits,
      balanceAfter: entry.balanceAfter,
      allocationId: entry.allocationId,
      sessionId: entry.sessionId,
      usageId: entry.usageId,
      userId: entry.userId,
      unitId: entry.unitId,
      apiKeyId: entry.apiKeyId,
      tags,
      actor: entry.actor,
      notes: entry.notes,
      createdAt: isoTime(entry.createdAt),
    };
  }
}

export class LedgerPageDto {
  @ApiProperty({ type: () => [LedgerEntryDto] }) items: LedgerEntryDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

export class AuditDifferenceDto {
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ description: 'The check that found the difference', example: 'available = lots' })
  check: string;
  @ApiProperty({
    description: 'What the difference means',
    example: 'The cached balance is not what the lots hold. A repair sets it to that.',
  })
  explanation: string;
  @ApiProperty({ ...ID, nullable: true, description: 'Id of the lot concerned', example: null })
  allocationId: number | null;
  @ApiProperty({ type: 'string', nullable: true, description: 'Id of the session concerned', example: null })
  sessionId: string | null;
  @ApiProperty({ ...ID, nullable: true, description: 'Id of the usage record concerned', example: null })
  usageId: number | null;
  @ApiProperty({ ...ID, nullable: true, description: 'Id of the ledger entry concerned', example: null })
  ledgerEntryId: number | null;
  @ApiProperty({
    ...ID,
    nullable: true,
    description: 'Id of the period of a budget concerned',
    example: null,
  })
  periodId: number | null;
  @ApiProperty({ type: 'integer', format: 'int64', nullable: true, example: 996 }) expected: number | null;
  @ApiProperty({ type: 'integer', format: 'int64', example: 997 }) actual: number;
}

export class AuditDto {
  @ApiProperty({ description: 'Whether the audit found no differences', example: true }) ok: boolean;
  @ApiProperty({ ...CREDITS, example: 1 }) usersChecked: number;
  @ApiProperty({ ...CREDITS, example: 0 }) differencesFound: number;
  @ApiProperty({ type: () => [AuditDifferenceDto], description: 'The first 1,000 differences', example: [] })
  differences: AuditDifferenceDto[];
}

export class CreditTotalsDto {
  @ApiProperty({ ...CREDITS, description: 'Number of accounts', example: 420 }) users: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits that can be spent now, summed over all accounts',
    example: 1250000,
  })
  availableCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held by active sessions', example: 840 })
  heldCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Sessions that hold credits', example: 12 })
  activeSessions: number;
}
