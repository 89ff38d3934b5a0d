import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { Database } from '../common/database/database.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { ACTIVE_SESSIONS, HELD_CREDITS } from '../credits/open-sessions.js';

/** By the partial indexes of what is open, due or waiting: it costs the same however much has passed. */
export const STATE = {
  name: 'metrics_state',
  text: `SELECT
    ${ACTIVE_SESSIONS} AS sessions,
    ${HELD_CREDITS} AS held,
    (SELECT coalesce(extract(epoch FROM now() - min(expires_at)), 0) FROM streaming_sessions
      WHERE status = 'active' AND expires_at <= now()) AS session_lag,
    (SELECT coalesce(extract(epoch FROM now() - min(expires_at)), 0) FROM credit_allocations
      WHERE is_open AND expires_at <= now()) AS expiry_lag,
    (SELECT coalesce(extract(epoch FROM now() - min(gateway_due_at)), 0) FROM api_keys
      WHERE gateway_due_at <= now()) AS gateway_lag,
    (SELECT count(*) FROM usage_records WHERE billing_status = 'needs_review') AS reviews,
    (SELECT count(*) FROM usage_quarantine WHERE resolved_at IS NULL) AS quarantined,
    (SELECT coalesce(extract(epoch FROM now() - min(occurred_at)), 0)
       FROM (SELECT occurred_at FROM event_outbox ORDER BY id LIMIT 1) oldest) AS event_lag,
    (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending') AS deliveries,
    (SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0) FROM webhook_endpoints e CROSS JOIN LATERAL (
       SELECT min(next_attempt_at) AS due_at FROM webhook_lanes WHERE endpoint_id = e.id) lane
      WHERE e.is_active AND due_at <= now()) AS webhook_lag,
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM webhook_deliveries
      WHERE status = 'pending') AS delivery_age,
    (SELECT count(*) FROM webhook_endpoints WHERE disabled_at IS NOT NULL AND deleted_at IS NULL) AS disabled,
    (SELECT differences FROM last_audit) AS audit_differences,
    (SELECT extract(epoch FROM ended_at) FROM last_audit) AS audit_time`,
};

type State = Record<
  | 'sessions'
  | 'held'
  | 'session_lag'
  | 'expiry_lag'
  | 'gateway_lag'
  | 'reviews'
  | 'quarantined'
  | 'event_lag'
  | 'deliveries'
  | 'webhook_lag'
  | 'delivery_age'
  | 'disabled'
  | 'audit_differences'
  | 'audit_time',
  string | null
>;

const GAUGES: [column: keyof State, name: string, help: string][] = [
  ['sessions', 'accounting_sessions_active', 'Sessions that hold credits'],
  ['held', 'accounting_held_credits', 'Credits held by active sessions'],
  [
    'session_lag',
    'accounting_session_sweep_lag_seconds',
    'How long the oldest stale session has been waiting',
  ],
  ['expiry_lag', 'accounting_expiry_sweep_lag_seconds', 'How long the oldest expired lot has been waiting'],
  ['gateway_lag', 'accounting_gateway_sweep_lag_seconds', 'How long the oldest due gateway key has waited'],
  ['reviews', 'accounting_review_queue', 'Usage records that wait for a review'],
  ['quarantined', 'accounting_quarantined_events', 'Gateway events that cannot be charged yet'],
  ['event_lag', 'accounting_event_lag_seconds', 'How long the oldest event has waited to be published'],
  ['deliveries', 'accounting_webhook_deliveries_pending', 'Webhook deliveries that wait or are tried again'],
  [
    'webhook_lag',
    'accounting_webhook_sweep_lag_seconds',
    'How long the oldest delivery has been due without a process delivering it',
  ],
  [
    'delivery_age',
    'accounting_webhook_oldest_pending_seconds',
    'How long the oldest delivery that waits has been waiting, whatever the reason',
  ],
  [
    'disabled',
    'accounting_webhooks_disabled',
    'Webhook endpoints switched off because of what they answered',
  ],
  [
    'audit_differences',
    'accounting_audit_differences',
    'Differences that the last audit of all accounts found; absent until one has ended',
  ],
  ['audit_time', 'accounting_audit_timestamp_seconds', 'When that audit ended, in seconds since 1970'],
];

/** A scrape waits no longer; Prometheus gives up after 10 s, and would then have no metrics at all. */
const PATIENCE_MILLISECONDS = 2000;

/** Gauges that are read when Prometheus asks: the state of the database, and of this process's pools. */
@Injectable()
export class DatabaseGauges {
  private readonly gauges: Map<keyof State, Gauge>;
  private readonly up: Gauge;
  private reading: Promise<State | undefined> | undefined;

  constructor(
    private readonly database: Database,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.gauges = new Map(
      GAUGES.map(([column, name, help]) => [column, new Gauge({ name, help, registers })]),
    );
    this.up = new Gauge({
      name: 'accounting_database_up',
      help: 'Whether the database answered this scrape; the gauges read from it are absent when not',
      registers,
    });
    new Gauge({
      name: 'accounting_database_pool_connections',
      help: 'Connections of a pool by what they do',
      labelNames: ['pool', 'state'],
      registers,
      collect() {
        for (const { pool, total, idle } of database.poolUse()) {
          this.set({ pool, state: 'busy' }, total - idle);
          this.set({ pool, state: 'idle' }, idle);
        }
      },
    });
    new Gauge({
      name: 'accounting_database_pool_waiting',
      help: 'Requests that wait for a connection of a pool',
      labelNames: ['pool'],
      registers,
      collect() {
        for (const { pool, waiting } of database.poolUse()) this.set({ pool }, waiting);
      },
    });
    new Gauge({
      name: 'accounting_database_pool_limit',
      help: 'Most connections that a pool may have',
      labelNames: ['pool'],
      registers,
      collect() {
        for (const { pool, limit } of database.poolUse()) this.set({ pool }, limit);
      },
    });
  }

  /** What the database does not report is absent, rather than old: an alert must not be fed with yesterday's values. */
  async refresh(): Promise<void> {
    const state = await this.stateInTime();
    this.up.set(state === undefined ? 0 : 1);
    for (const [column, gauge] of this.gauges) {
      const value = state?.[column] ?? null;
      if (value === null) gauge.remove();
      else gauge.set(Number(value));
    }
  }

  /** Scrapes that come while one is being read share it: however many there are, one statement is under way. */
  private async stateInTime(): Promise<State | undefined> {
    this.reading ??= this.database
      .row<State>(STATE)
      .catch(() => undefined)
      .finally(() => (this.reading = undefined));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((done) => {
      timer = setTimeout(() => done(undefined), PATIENCE_MILLISECONDS);
    });
    return Promise.race([this.reading, late]).finally(() => clearTimeout(timer));
  }
}
