import { ApiProperty } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import {
  BUDGET_MODES,
  BUDGET_SCOPES,
  BUDGET_UNITS,
  BUDGET_WINDOWS,
  type BudgetAnswer,
  type BudgetMode,
  type BudgetScope,
  type BudgetUnit,
  type BudgetWindow,
} from '../budgets.operations.js';

const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const COUNT = { type: 'integer', format: 'int64' } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-12-01T00:00:00.000Z' } as const;
const OF_EACH_MEMBER = 'Null for a budget of each member unless a member is named';

export class BudgetDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ ...ACCOUNT, example: 'org:acme' }) accountId: string;
  @ApiProperty({ enum: BUDGET_SCOPES, enumName: 'BudgetScope', example: 'unit' }) scope: BudgetScope;
  @ApiProperty({ type: 'string', nullable: true, example: '3' }) scopeId: string | null;
  @ApiProperty({ enum: BUDGET_UNITS, enumName: 'BudgetUnit', example: 'credits' }) unit: BudgetUnit;
  @ApiProperty({
    enum: BUDGET_WINDOWS,
    enumName: 'BudgetWindow',
    nullable: true,
    description: 'Null for `sessions`, which counts those that are open',
    example: 'month',
  })
  window: BudgetWindow | null;
  @ApiProperty({ example: 'Europe/Berlin' }) timeZone: string;
  @ApiProperty({ type: 'integer', minimum: 1, maximum: 31, example: 1 }) anchorDay: number;
  @ApiProperty({
    ...COUNT,
    nullable: true,
    description: 'The limit for one period; null: this is an API key without a limit, and only counts',
    example: 1000,
  })
  amount: number | null;
  @ApiProperty({ enum: BUDGET_MODES, enumName: 'BudgetMode', example: 'hard' }) mode: BudgetMode;
  @ApiProperty({
    type: 'array',
    items: { type: 'integer', minimum: 1, maximum: 100 },
    description: 'Percentages of the limit at which `budget.threshold` is emitted',
    example: [80, 100],
  })
  alerts: number[];
  @ApiProperty({
    enum: ['platform', 'account'],
    enumName: 'BudgetSetter',
    description: 'What the platform has set the account cannot change',
    example: 'account',
  })
  setBy: 'platform' | 'account';
  @ApiProperty({ description: 'Whether this is the `creditLimit` of an API key', example: false })
  isKeyLimit: boolean;
  @ApiProperty({ example: 'alice' }) createdBy: string;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({
    ...COUNT,
    nullable: true,
    description: `The amount with its raises. ${OF_EACH_MEMBER}`,
    example: 1000,
  })
  limit: number | null;
  @ApiProperty({
    ...COUNT,
    nullable: true,
    description: `Used in this period. ${OF_EACH_MEMBER}`,
    example: 740,
  })
  used: number | null;
  @ApiProperty({
    ...COUNT,
    nullable: true,
    description: 'Reserved by open sessions that began in it',
    example: 20,
  })
  held: number | null;
  @ApiProperty({ ...COUNT, nullable: true, example: 240 }) left: number | null;
  @ApiProperty({ ...TIME, nullable: true, description: 'Begin of the period; null: it has none' })
  startsAt: string | null;
  @ApiProperty({ ...TIME, nullable: true, description: 'End of the period; null: it has none' })
  resetsAt: string | null;
  @ApiProperty({
    ...TIME,
    description: 'Calls count since then: the begin of the period, or when the budget was made',
  })
  countsFrom: string;

  static from({ id, ...budget }: BudgetAnswer): BudgetDto {
    return { id, ...budget };
  }
}

export class BudgetPageDto {
  @ApiProperty({ type: () => [BudgetDto] }) items: BudgetDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

export class BudgetRaiseDto {
  @ApiProperty({ ...COUNT, example: 200 }) amount: number;
  @ApiProperty({ ...TIME, nullable: true, description: 'Null: until the end of the period', example: null })
  until: string | null;
  @ApiProperty({ example: 'The launch' }) reason: string;
  @ApiProperty({ example: 'alice' }) madeBy: string;
  @ApiProperty(TIME) madeAt: string;
}

export class BudgetPeriodDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The member, for budgets of each member',
    example: null,
  })
  memberId: string | null;
  @ApiProperty({ ...TIME, nullable: true }) startsAt: string | null;
  @ApiProperty({ ...TIME, nullable: true }) endsAt: string | null;
  @ApiProperty(TIME) countsFrom: string;
  @ApiProperty({ ...COUNT, example: 740 }) used: number;
  @ApiProperty({ ...COUNT, example: 20 }) held: number;
  @ApiProperty({ ...COUNT, description: 'How many raises it has', example: 0 }) totalRaises: number;
  @ApiProperty({ type: () => [BudgetRaiseDto], description: 'The newest 20, newest first' })
  raises: BudgetRaiseDto[];
}

export class BudgetPeriodPageDto {
  @ApiProperty({ type: () => [BudgetPeriodDto] }) items: BudgetPeriodDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}
