import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { LessThan, Raw, Repository } from 'typeorm';
import { AccountsService } from '../accounts/accounts.service.js';
import type { Author } from '../common/http/author.js';
import { type Caller, idempotencyScope, seenUser } from '../common/http/caller.js';
import { csvLine, csvRow } from '../common/csv.js';
import type { CombinedReads } from '../common/database/combined-reads.js';
import { Database } from '../common/database/database.js';
import { Movements } from '../common/database/movements.js';
import { exactSum, toSafeInteger } from '../common/database/transformers.js';
import { AccountNotFound, IdempotencyMismatch, unknownOutcome } from '../common/errors/service-error.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { ReportTurns } from '../common/http/reports.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { callOf } from '../pricing/call.js';
import { UnpricedModel } from '../pricing/pricing.errors.js';
import {
  AllocationNotFound,
  BalanceLimit,
  EmailTaken,
  MAXIMUM_BALANCE,
  shortage,
  TooManyAllocations,
} from './credits.errors.js';
import {
  ALLOCATE,
  type AllocationAnswer,
  DEDUCT,
  type DeductionAnswer,
  QUOTE,
  REVOKE,
} from './credits.operations.js';
import type { AllocateCreditsDto, CalculateCreditsDto, DeductCreditsDto } from './dto/credits.requests.js';
import {
  type BalanceDto,
  type CheckCreditsAnswerDto,
  type CreditTotalsDto,
  LedgerEntryDto,
  type LedgerPageDto,
  QuoteDto,
} from './dto/credits.responses.js';
import { LedgerEntry } from './entities/ledger-entry.entity.js';
import { ACTIVE_SESSIONS, HELD_CREDITS } from './open-sessions.js';

/** The tags of the calls that entries are about: of the record, or of the session while it has none. */
const LEDGER_TAGS = {
  name: 'credit_ledger_tags',
  text: `SELECT e.id, coalesce(r.tags, s.tags) AS tags
           FROM credit_ledger e
           LEFT JOIN usage_records r ON r.account_id = e.account_id AND r.id = e.usage_id
           LEFT JOIN streaming_sessions s
                  ON s.account_id = e.account_id AND s.user_id = e.user_id AND s.session_id = e.session_id
          WHERE e.account_id = $1 AND e.id = ANY($2) AND coalesce(r.tags, s.tags) IS NOT NULL`,
};
/** The lots as arrays, their times in milliseconds: for a thousand lots that takes a third of the time of objects with texts. */
export const BALANCE = {
  name: 'credit_balance',
  text: `SELECT b.account_id AS key, available_credits(b.account_id) AS total, b.held, coalesce(
           (SELECT json_agg(json_build_array(l.id, l.remaining_credits, l.total_credits,
                     trunc(extract(epoch FROM l.expires_at) * 1000), trunc(extract(epoch FROM l.allocated_at) * 1000))
                     ORDER BY l.expires_at, l.id)
              FROM (SELECT * FROM credit_allocations a
                     WHERE a.account_id = b.account_id AND a.is_open AND a.expires_at > now()
                     ORDER BY a.expires_at, a.id LIMIT 1000) l), '[]') AS lots
         FROM credit_balances b WHERE b.account_id = ANY($1::varchar[])`,
};
export const AVAILABLE = {
  name: 'credit_available',
  text: `SELECT b.account_id AS key,
                least(available_credits(b.account_id),
                      CASE WHEN b.has_budgets THEN credits_room(b.account_id, b.account_id, NULL) END) AS total
           FROM credit_balances b WHERE b.account_id = ANY($1::varchar[])`,
};
/** The same for a member of an organisation, by account and user with a blank between them: an organisation's id has none. */
const AVAILABLE_TO_MEMBER = {
  name: 'credit_available_to_member',
  text: `SELECT asked.key, CASE WHEN o.archived_at IS NOT NULL THEN 0 ELSE
                  least(available_credits(m.account_id), credits_room(m.account_id, m.user_id, NULL)) END AS total
           FROM unnest($1::varchar[]) asked (key)
           JOIN members m ON m.account_id = split_part(asked.key, ' ', 1)
                         AND m.user_id = substr(asked.key, strpos(asked.key, ' ') + 1)
           JOIN organisations o ON o.account_id = m.account_id`,
};
/** The same for an API key, by its id. */
export const AVAILABLE_TO_KEY = {
  name: 'credit_available_to_key',
  text: `SELECT k.id::text AS key,
                least(available_credits(k.account_id), credits_room(k.account_id, k.user_id, k.id)) AS total
           FROM api_keys k
          WHERE k.id = ANY($1::bigint[])
            AND (k.account_id = k.user_id OR EXISTS (
              SELECT FROM members m WHERE m.account_id = k.account_id AND m.user_id = k.user_id))`,
};
/** The one look-up by a lot's id alone: an admin names the lot, and every later statement names its user. */
const LOT_OWNER = {
  name: 'credit_lot_owner',
  text: 'SELECT account_id FROM credit_allocations WHERE id = $1',
};

interface BalanceRow {
  key: string;
  total: string;
  held: string;
  lots: [id: number, credits: number, totalCredits: number, expiresAt: number, allocatedAt: number][];
}

/** Every account has a balance row, which is narrower than the account. What has expired unwritten is few lots, by index. */
const TOTALS = {
  name: 'credit_totals',
  mayBeOld: true,
  text: `SELECT b.users, b.available - (
           SELECT coalesce(sum(remaining_credits), 0) FROM credit_allocations WHERE is_open AND expires_at <= now()
         ) AS available, ${HELD_CREDITS} AS held, ${ACTIVE_SESSIONS} AS sessions
    FROM (SELECT count(*) AS users, coalesce(sum(available), 0) AS available FROM credit_balances) b`,
};

/** A body names one of the two. */
const accountOf = ({ userId, accountId }: { userId?: string; accountId?: string }) =>
  (userId ?? accountId) as string;

const LEDGER_CSV_HEADER: (keyof LedgerEntryDto)[] = [
  ...([
    'id',
    'createdAt',
    'kind',
    'credits',
    'balanceAfter',
    'allocationId',
    'sessionId',
    'usageId',
  ] as const),
  ...(['userId', 'unitId', 'apiKeyId', 'tags', 'actor', 'notes'] as const),
];
/** Entries of one statement of a download: more at once would keep the process from movements. */
const CSV_BATCH = 50;

/** Balances, allocations and the ledger. Rules in README.md beside this file. */
@Injectable()
export class CreditsService {
  private readonly balances: CombinedReads<BalanceRow>;
  private readonly available: CombinedReads<{ key: string; total: string }>;
  private readonly availableToMember: CombinedReads<{ key: string; total: string }>;
  private readonly availableToKey: CombinedReads<{ key: string; total: string }>;

  constructor(
    private readonly movements: Movements,
    private readonly database: Database,
    private readonly accounts: AccountsService,
    private readonly turns: ReportTurns,
    @InjectRepository(LedgerEntry) private readonly ledger: Repository<LedgerEntry>,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.balances = database.reads(BALANCE);
    this.available = database.reads(AVAILABLE);
    this.availableToMember = database.reads(AVAILABLE_TO_MEMBER);
    this.availableToKey = database.reads(AVAILABLE_TO_KEY);
  }

  /** A plain member of an organisation sees what they can spend of it. @throws AccountNotFound */
  async ownBalance(caller: Caller): Promise<BalanceDto> {
    const { accountId } = caller;
    if (seenUser(caller) === undefined) return this.balance(accountId);
    const totalCredits = await this.availableTo(caller);
    return { accountId, userId: accountId, totalCredits, heldCredits: 0, activeAllocations: [] };
  }

  /** @throws AccountNotFound */
  async balance(userId: string): Promise<BalanceDto> {
    const row = await this.balances.of(userId);
    if (row === undefined) throw new AccountNotFound();
    return {
      accountId: userId,
      userId,
      totalCredits: toSafeInteger(row.total),
      heldCredits: toSafeInteger(row.held),
      activeAllocations: row.lots.map(([id, credits, totalCredits, expiresAt, allocatedAt]) => ({
        id,
        credits,
        totalCredits,
        expiresAt: new Date(expiresAt).toISOString(),
        allocatedAt: new Date(allocatedAt).toISOString(),
      })),
    };
  }

  /**
   * Whether the caller can spend `requiredCredits`: the balance and the budgets have them, but for those of models and tags.
   * «No» is an answer.
   *
   * @throws AccountNotFound
   */
  async check(caller: Caller, requiredCredits: number): Promise<CheckCreditsAnswerDto> {
    const availableCredits = await this.availableTo(caller);
    return { hasSufficientCredits: availableCredits >= requiredCredits, requiredCredits, availableCredits };
  }

  /** @throws AccountNotFound */
  private async availableTo({ accountId, userId, apiKeyId }: Caller): Promise<number> {
    const row = await (apiKeyId !== null
      ? this.availableToKey.of(String(apiKeyId))
      : accountId === userId
        ? this.available.of(userId)
        : this.availableToMember.of(`${accountId} ${userId}`));
    if (row === undefined) throw new AccountNotFound();
    return toSafeInteger(row.total);
  }

  /** @throws UnpricedModel */
  async calculate(request: CalculateCreditsDto): Promise<QuoteDto> {
    const { modelId } = request;
    const rejectUnpriced = this.config.unpricedModelPolicy === 'reject';
    const quote = await this.database.call(QUOTE, { modelId, ...callOf(request), rejectUnpriced });
    if (quote.outcome === 'unpriced') throw new UnpricedModel();
    return QuoteDto.from(modelId, quote);
  }

  /** Creates the account of an unknown user. @throws AccountNotFound for an organisation that is not there; EmailTaken, BalanceLimit, TooManyAllocations, IdempotencyMismatch */
  async allocate(caller: Author, request: AllocateCreditsDto, key: string | null): Promise<AllocationAnswer> {
    const answer = await this.movements.run(ALLOCATE, {
      accountId: accountOf(request),
      credits: request.credits,
      expiryDays: request.expiryDays,
      notes: request.notes ?? null,
      actor: caller.actor,
      origin: caller.origin,
      email: request.email ?? null,
      username: request.username ?? null,
      ...idempotencyOf(idempotencyScope(caller), 'allocate', key, request),
    });
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'user_not_found':
        throw new AccountNotFound();
      case 'email_taken':
        throw new EmailTaken();
      case 'balance_limit':
        throw new BalanceLimit('credits', MAXIMUM_BALANCE);
      case 'too_many_lots':
        throw new TooManyAllocations();
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw unknownOutcome(answer);
    }
  }

  /** @throws AccountNotFound, InsufficientCredits, IdempotencyMismatch */
  async deduct(caller: Author, request: DeductCreditsDto, key: string | null): Promise<DeductionAnswer> {
    const answer = await this.movements.run(DEDUCT, {
      accountId: accountOf(request),
      credits: request.credits,
      notes: request.notes,
      actor: caller.actor,
      origin: caller.origin,
      ...idempotencyOf(idempotencyScope(caller), 'deduct', key, request),
    });
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'user_not_found':
        throw new AccountNotFound();
      case 'insufficient':
      case 'budget_exceeded':
      case 'limit_exceeded':
        throw shortage(answer);
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw unknownOutcome(answer);
    }
  }

  /** @throws AllocationNotFound, IdempotencyMismatch */
  async revoke(
    caller: Author,
    allocationId: number,
    notes: string | undefined,
    key: string | null,
  ): Promise<AllocationAnswer> {
    const owner = await this.database.row<{ account_id: string }>(LOT_OWNER, [allocationId]);
    if (owner === undefined) throw new AllocationNotFound();
    const answer = await this.movements.run(REVOKE, {
      accountId: owner.account_id,
      allocationId,
      notes: notes ?? null,
      actor: caller.actor,
      origin: caller.origin,
      ...idempotencyOf(idempotencyScope(caller), 'revoke', key, { allocationId, notes }),
    });
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'allocation_not_found':
        throw new AllocationNotFound();
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw unknownOutcome(answer);
    }
  }

  /**
   * An account's ledger, newest first.
   *
   * @param userId only what this member spent
   * @throws AccountNotFound
   */
  async ledgerPage(
    accountId: string,
    { limit, cursor }: PageQueryDto,
    userId?: string,
  ): Promise<LedgerPageDto> {
    const before = decodeCursor(cursor);
    const entries = await this.ledger.find({
      where: {
        accountId,
        // The condition of the index on what members of organisations spend.
        ...(userId !== undefined && {
          userId: Raw((column) => `${column} = :userId AND ${column} <> account_id`, { userId }),
        }),
        ...(before !== undefined && { id: LessThan(before) }),
      },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    if (entries.length === 0 && !(await this.accounts.exists(accountId))) throw new AccountNotFound();
    const tagged = await this.database.rows<{ id: string; tags: Record<string, string> }>(LEDGER_TAGS, [
      accountId,
      entries.map(({ id }) => id),
    ]);
    const tags = new Map(tagged.map((row) => [toSafeInteger(row.id), row.tags]));
    return toPage(entries, limit, (entry) => ({
      ...LedgerEntryDto.from(entry, tags.get(entry.id) ?? null),
      ...(userId !== undefined && { balanceAfter: null }),
    }));
  }

  /**
   * The ledger from the cursor on as lines of CSV, in batches.
   *
   * @param reporter whose turns at reports the batches take
   * @param userId only what this member spent
   * @throws AccountNotFound before the first line
   */
  async *ledgerCsv(
    accountId: string,
    { cursor }: PageQueryDto,
    reporter: string,
    userId?: string,
  ): AsyncGenerator<string> {
    let heading = csvLine(LEDGER_CSV_HEADER);
    let position = cursor;
    do {
      const page = { limit: CSV_BATCH, cursor: position };
      const find = () => this.ledgerPage(accountId, page, userId);
      const { items, nextCursor } = await this.turns.report(reporter, find);
      yield heading + items.map((entry) => csvRow(entry, LEDGER_CSV_HEADER)).join('');
      heading = '';
      position = nextCursor ?? undefined;
    } while (position !== undefined);
  }

  /** What all accounts own together. @throws SumTooLarge */
  async totals(): Promise<CreditTotalsDto> {
    const [row] =
      await this.database.report<Record<'users' | 'available' | 'held' | 'sessions', string>>(TOTALS);
    if (row === undefined) throw new Error('the totals returned nothing');
    return {
      users: exactSum(row.users),
      availableCredits: exactSum(row.available),
      heldCredits: exactSum(row.held),
      activeSessions: exactSum(row.sessions),
    };
  }
}
