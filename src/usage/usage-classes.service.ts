import { Injectable } from '@nestjs/common';
import { AccountsService } from '../accounts/accounts.service.js';
import { Database } from '../common/database/database.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { type Caller, hasRole } from '../common/http/caller.js';
import { isoTime } from '../common/http/time.js';
import type { ClassAmount } from '../pricing/price.js';
import type { TimeRange } from './dto/usage.requests.js';
import {
  type ClassUsageDto,
  type UsageClassesDto,
  type UsageRecordDetailsDto,
  UsageRecordDto,
} from './dto/usage.responses.js';
import { UsageNotFound } from './usage.errors.js';
import type { UsageAnswer } from './usage.operations.js';

/**
 * The most records of a range that are added up, and the most combinations of rule, tier and threshold among them: at worst,
 * with all classes in each record, they take about two seconds.
 */
const COUNTED_RECORDS = 50_000;
const COUNTED_PRICES = 1000;

type Details = Omit<UsageRecordDetailsDto, keyof UsageRecordDto> & {
  record: UsageAnswer;
  classes: ClassAmount[] | null;
};

const DETAILS = { name: 'usage_details', text: 'SELECT usage_details($1, $2, $3) AS details' };
const CLASSES = {
  name: 'usage_classes',
  mayBeOld: true,
  text: 'SELECT usage_classes($1, $2, $3, $4, $5, $6) AS usage',
  isPlannedAnew: true,
};

/** What calls used and cost by class: computed from the records and the rules that priced them, never stored beside them. */
@Injectable()
export class UsageClassesService {
  constructor(
    private readonly database: Database,
    private readonly accounts: AccountsService,
  ) {}

  /** @throws UsageNotFound also for a record that the caller may not see */
  async ofRecord(caller: Caller, id: number): Promise<UsageRecordDetailsDto> {
    const seesAll =
      caller.kind === 'internal' || (caller.kind === 'user' && hasRole(caller.role, 'supervisor'));
    const [row] = await this.database.report<{ details: Details | null }>(DETAILS, [
      id,
      seesAll ? null : caller.userId,
      caller.apiKeyId === null ? null : caller.accountId,
    ]);
    if (!row?.details) throw new UsageNotFound();
    const { record, ...explanation } = row.details;
    return { ...UsageRecordDto.from(record), ...explanation };
  }

  /**
   * @param accountId null: of all accounts
   * @param userId only what this member spent
   * @throws AccountNotFound
   */
  async ofRange(
    accountId: string | null,
    { from, to }: TimeRange,
    userId?: string,
  ): Promise<UsageClassesDto> {
    const [row] = await this.database.report<{ usage: { classes: ClassUsageDto[]; since: string | null } }>(
      CLASSES,
      [accountId, from, to, COUNTED_RECORDS, COUNTED_PRICES, userId ?? null],
    );
    if (row === undefined) throw new Error('the usage by class returned nothing');
    const { classes, since } = row.usage;
    if (classes.length === 0 && accountId !== null && !(await this.accounts.exists(accountId)))
      throw new AccountNotFound();
    return { classes, since: since === null ? null : isoTime(since) };
  }
}
