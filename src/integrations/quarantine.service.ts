import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { noteActivity } from '../common/database/activity.js';
import { Database } from '../common/database/database.js';
import type { Author } from '../common/http/author.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { ChargesService, type Outcome } from './charges.service.js';
import {
  type EventCountsDto,
  noEvents,
  type QuarantinePageDto,
  QuarantinedEventDto,
} from './dto/integrations.responses.js';
import { type QuarantineReason, UsageQuarantine } from './entities/usage-quarantine.entity.js';
import { ALL_GATEWAYS, type Gateway, type KeptEvent } from './gateway.js';

/** Events in one statement. */
const BATCH = 200;
/** Most events that one replay tries; the next goes on with those not tried for longest. */
const MAXIMUM_PER_REPLAY = 2000;
/** How long others leave an event alone whose replay has begun. */
const LEASE_SECONDS = 60;

const KEEP = {
  name: 'quarantine_keep',
  text: `INSERT INTO usage_quarantine (source, fingerprint, claimed_user, claimed_account, reason, detail, event)
         SELECT $1, e.*
           FROM unnest($2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::varchar[], $7::jsonb[]) AS e
         ON CONFLICT (fingerprint) DO NOTHING RETURNING fingerprint`,
};

/** Takes a turn at events that wait, those first that were not tried for longest; what others hold is left to them. */
const take = (name: string, which: string) => ({
  name,
  text: `UPDATE usage_quarantine SET attempted_at = clock_now()
          WHERE id IN (SELECT q.id FROM usage_quarantine q
                        WHERE q.source = $3 AND q.resolved_at IS NULL
                          AND (q.attempted_at IS NULL OR q.attempted_at < $2) ${which}
                        ORDER BY q.attempted_at NULLS FIRST, q.id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING fingerprint, event`,
});
const TAKE_ANY = take('quarantine_take', '');
const TAKE_OF_KNOWN_USERS = take(
  'quarantine_take_known',
  `AND q.reason = 'unknown_user' AND quarantine_is_known(q.claimed_user, q.claimed_account)`,
);
const NOW = { name: 'quarantine_now', text: 'SELECT clock_now() - make_interval(secs => $1) AS time' };

/** What an event waits for may be another thing after a replay: an account has been set for its team meanwhile. */
const WAIT_ON = {
  name: 'quarantine_wait_on',
  text: `UPDATE usage_quarantine q SET reason = e.reason, detail = e.detail, claimed_account = e.claimed_account
           FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[])
                  AS e (fingerprint, reason, detail, claimed_account)
          WHERE q.fingerprint = e.fingerprint AND q.resolved_at IS NULL
            AND (q.reason, q.detail, q.claimed_account) IS DISTINCT FROM (e.reason, e.detail, e.claimed_account)`,
};

const RESOLVE = {
  name: 'quarantine_resolve',
  text: `UPDATE usage_quarantine q
            SET resolved_at = clock_now(), usage_account_id = r.usage_account_id, usage_id = r.usage_id
           FROM unnest($1::varchar[], $2::varchar[], $3::bigint[]) AS r (fingerprint, usage_account_id, usage_id)
          WHERE q.fingerprint = r.fingerprint AND q.resolved_at IS NULL`,
};

/** Why an event waits. */
interface Waiting {
  claimedUser: string | null;
  /** The organisation that is to pay, and that the user must be a member of; null: the user pays. */
  claimedAccount: string | null;
  reason: QuarantineReason;
  detail: string | null;
}

export interface Quarantined extends Waiting {
  fingerprint: string;
  event: KeptEvent;
}

/** An event that waits no longer, and its record, if it has one. */
export interface Resolved {
  fingerprint: string;
  accountId: string | null;
  usageId: number | null;
}

interface Taken {
  fingerprint: string;
  event: KeptEvent;
}

/** Events that wait until they can be charged. Rules in README.md beside this file. */
@Injectable()
export class QuarantineService {
  constructor(
    private readonly database: Database,
    private readonly charges: ChargesService,
    @Inject(ALL_GATEWAYS) private readonly gateways: Gateway[],
    @InjectRepository(UsageQuarantine) private readonly quarantine: Repository<UsageQuarantine>,
  ) {}

  /** Keeps events of a gateway. Answers how many were not there before. */
  async keep({ name }: Gateway, events: Quarantined[]): Promise<number> {
    const sorted = inOrder(events);
    let kept = 0;
    for (let start = 0; start < sorted.length; start += BATCH) {
      const batch = sorted.slice(start, start + BATCH);
      const rows = await this.database.rows(KEEP, [
        name,
        batch.map(({ fingerprint }) => fingerprint),
        batch.map(({ claimedUser }) => claimedUser),
        batch.map(({ claimedAccount }) => claimedAccount),
        batch.map(({ reason }) => reason),
        batch.map(({ detail }) => detail),
        batch.map(({ event }) => JSON.stringify(event)),
      ]);
      kept += rows.length;
    }
    return kept;
  }

  /** Lets those of the events that wait do so no longer. */
  async resolve(events: Resolved[]): Promise<void> {
    if (events.length === 0) return;
    const sorted = inOrder(events);
    await this.database.rows(RESOLVE, [
      sorted.map(({ fingerprint }) => fingerprint),
      sorted.map(({ accountId }) => accountId),
      sorted.map(({ usageId }) => usageId),
    ]);
  }

  /** What waits of a gateway, oldest first. */
  async page({ name }: Gateway, { limit, cursor }: PageQueryDto): Promise<QuarantinePageDto> {
    const events = this.quarantine
      .createQueryBuilder('q')
      .where('q.source = :name AND q.resolvedAt IS NULL', { name })
      .orderBy('q.id')
      .limit(limit + 1);
    const after = decodeCursor(cursor);
    if (after !== undefined) events.andWhere('q.id > :after', { after });
    return toPage(await events.getMany(), limit, (row) => QuarantinedEventDto.from(row));
  }

  /** Tries all that waits of a gateway once more, up to 2,000 events: those first that were not tried for longest. */
  async replay(caller: Author, gateway: Gateway): Promise<EventCountsDto> {
    const counts = noEvents();
    // Each call that is charged has a record of its own; this is that it was asked for.
    const asked = { action: 'quarantine.retried', subject: gateway.name } as const;
    await noteActivity(this.quarantine.manager, caller, asked);
    await this.replayAll(gateway, TAKE_ANY, 0, counts);
    return counts;
  }

  /** The same for events of users who have appeared, of every gateway, unless a replay is in progress. */
  async replayOfKnownUsers(stopped?: AbortSignal): Promise<EventCountsDto> {
    const counts = noEvents();
    for (const gateway of this.gateways)
      await this.replayAll(gateway, TAKE_OF_KNOWN_USERS, LEASE_SECONDS, counts, stopped);
    return counts;
  }

  private async replayAll(
    gateway: Gateway,
    statement: typeof TAKE_ANY,
    leaseSeconds: number,
    counts: EventCountsDto,
    stopped?: AbortSignal,
  ): Promise<void> {
    // Fixed at the beginning, so that what stays in quarantine is tried once and not again and again.
    const before = await this.database.row<{ time: Date }>(NOW, [leaseSeconds]);
    for (let tried = 0; tried < MAXIMUM_PER_REPLAY && !stopped?.aborted; tried += BATCH) {
      const taken = await this.database.rows<Taken>(statement, [BATCH, before?.time, gateway.name]);
      if (taken.length > 0) await this.replayBatch(gateway, taken, counts);
      if (taken.length < BATCH) break;
    }
  }

  private async replayBatch(gateway: Gateway, taken: Taken[], counts: EventCountsDto): Promise<void> {
    const readings = taken.map(({ event }) => gateway.readKept(event));
    const calls = readings.flatMap((reading) => (reading.kind === 'call' ? [reading.call] : []));
    const outcomes = await this.charges.charge(gateway, calls);
    const resolved: Resolved[] = [];
    const waiting: (Waiting & { fingerprint: string })[] = [];
    readings.forEach((reading, index) => {
      const { fingerprint } = taken[index] as Taken;
      const outcome = reading.kind === 'call' ? (outcomes.get(reading.call) as Outcome) : undefined;
      if (reading.kind === 'nothing') {
        counts.ignored++;
        resolved.push({ fingerprint, accountId: null, usageId: null });
      } else if (outcome !== undefined && 'usageId' in outcome) {
        counts[outcome.kind]++;
        resolved.push({ ...outcome, fingerprint });
      } else {
        counts.quarantined++;
        if (outcome !== undefined) waiting.push({ ...waitingFor(outcome), fingerprint });
      }
    });
    await this.resolve(resolved);
    await this.waitOn(waiting);
  }

  private async waitOn(events: (Waiting & { fingerprint: string })[]): Promise<void> {
    if (events.length === 0) return;
    const sorted = inOrder(events);
    await this.database.rows(WAIT_ON, [
      sorted.map(({ fingerprint }) => fingerprint),
      sorted.map(({ reason }) => reason),
      sorted.map(({ detail }) => detail),
      sorted.map(({ claimedAccount }) => claimedAccount),
    ]);
  }
}

/** What a call waits for that could not be charged. @param claimedUser the user that the gateway names */
export function waitingFor(
  outcome: Exclude<Outcome, { usageId: number }>,
  claimedUser: string | null = null,
): Waiting {
  const { kind: reason, detail } = outcome;
  const member = outcome.kind === 'unknown_user' ? outcome.member : null;
  return {
    reason,
    detail,
    claimedUser: member?.userId ?? claimedUser,
    claimedAccount: member?.accountId ?? null,
  };
}

/** In one order everywhere, so that two who have the same events wait for each other and never in a circle. */
function inOrder<Event extends { fingerprint: string }>(events: Event[]): Event[] {
  return events.toSorted((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
}
