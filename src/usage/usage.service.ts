import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository, type SelectQueryBuilder } from 'typeorm';
import { AccountsService } from '../accounts/accounts.service.js';
import { type Caller, idempotencyScope } from '../auth/caller.js';
import { AccountNotFound, IdempotencyMismatch } from '../common/errors/service-error.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, toPage } from '../common/http/page.js';
import type { UsageAnswer } from '../credits/money-answers.js';
import { MoneyFunctions } from '../credits/money-functions.js';
import { csvLine, USAGE_CSV_HEADER, usageCsvLine } from './usage-csv.js';
import { type RecordsQueryDto, type RecordUsageDto, timeRange, utcTime } from './dto/usage.requests.js';
import { type UsagePageDto, UsageRecordDto } from './dto/usage.responses.js';
import { UsageRecord } from './entities/usage-record.entity.js';

const CSV_BATCH = 1000;

/** Usage records. Rules in README.md beside this file. */
@Injectable()
export class UsageService {
  constructor(
    private readonly money: MoneyFunctions,
    private readonly accounts: AccountsService,
    @InjectRepository(UsageRecord) private readonly records: Repository<UsageRecord>,
  ) {}

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

  /** A user's records, newest first. @throws AccountNotFound for a user never seen */
  async page(userId: string, query: RecordsQueryDto): Promise<UsagePageDto> {
    const rows = await this.newestFirst(userId, query, decodeCursor(query.cursor), query.limit + 1);
    if (rows.length === 0) await this.requireAccount(userId);
    return toPage(rows, query.limit, (row) => UsageRecordDto.from(row));
  }

  /** All of a user's records as lines of CSV, read in batches so that memory stays flat however many there are. */
  async *csv(userId: string, query: RecordsQueryDto): AsyncGenerator<string> {
    let heading = csvLine(USAGE_CSV_HEADER);
    let after: number | undefined;
    for (;;) {
      const rows = await this.newestFirst(userId, query, after, CSV_BATCH);
      const lines = heading + rows.map(usageCsvLine).join('');
      if (lines !== '') yield lines;
      heading = '';
      if (rows.length < CSV_BATCH) return;
      after = (rows[rows.length - 1] as UsageRecord).id;
    }
  }

  /** @throws AccountNotFound */
  async requireAccount(userId: string): Promise<void> {
    if (!(await this.accounts.exists(userId))) throw new AccountNotFound();
  }

  private newestFirst(userId: string, query: RecordsQueryDto, after: number | undefined, take: number) {
    const { from, to } = timeRange(query);
    const records: SelectQueryBuilder<UsageRecord> = this.records
      .createQueryBuilder('r')
      .where('r.userId = :userId', { userId })
      .orderBy('r.timestamp', 'DESC')
      .addOrderBy('r.id', 'DESC')
      .limit(take);
    if (from !== null) records.andWhere('r.timestamp >= :from', { from });
    if (to !== null) records.andWhere('r.timestamp < :to', { to });
    if (query.service !== undefined) records.andWhere('r.service = :service', { service: query.service });
    if (query.operation !== undefined)
      records.andWhere('r.operation = :operation', { operation: query.operation });
    if (after !== undefined) {
      // By the record itself, whose time has microseconds that a JSON time does not show.
      records.andWhere(
        '(r.timestamp, r.id) < (SELECT c.timestamp, c.id FROM usage_records c WHERE c.user_id = :userId AND c.id = :after)',
        { after },
      );
    }
    return records.getMany();
  }
}
