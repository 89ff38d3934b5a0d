import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { Database } from '../common/database/database.js';
import { Metrics } from '../common/metrics/metrics.service.js';

/** By the partial indexes of what is open, due or waiting: it costs the same however much has passed. */
const STATE = {
  name: 'metrics_state',
  text: `SELECT
    (SELECT count(*) FROM streaming_sessions WHERE status = 'active') AS sessions,
    (SELECT coalesce(sum(allocated_credits), 0) FROM streaming_sessions WHERE status = 'active') AS held,
    (SELECT coalesce(extract(epoch FROM now() - min(expires_at)), 0) FROM streaming_sessions
      WHERE status = 'active' AND expires_at <= now()) AS session_lag,
    (SELECT coalesce(extract(epoch FROM now() - min(expires_at)), 0) FROM credit_allocations
      WHERE is_open AND expires_at <= now()) AS expiry_lag,
    (SELECT count(*) FROM usage_records WHERE billing_status = 'needs_review') AS reviews`,
};

type State = Record<'sessions' | 'held' | 'session_lag' | 'expiry_lag' | 'reviews', string>;

const GAUGES: [column: keyof State, name: string, help: string][] = [
  ['sessions', 'accounting_sessions_active', 'Sessions that hold credits'],
  ['held', 'accounting_held_credits', 'Credits held by active sessions'],
  [
    'session_lag',
    'accounting_session_sweep_lag_seconds',
    'How long the oldest stale session has been waiting',
  ],
  ['expiry_lag', 'accounting_expiry_sweep_lag_seconds', 'How long the oldest expired lot has been waiting'],
  ['reviews', 'accounting_review_queue', 'Usage records that wait for a review'],
];
const POOL: [column: 'total' | 'idle' | 'waiting', help: string][] = [
  ['total', 'Connections of the pool'],
  ['idle', 'Connections of the pool that nobody uses'],
  ['waiting', 'Requests that wait for a connection'],
];

/** Gauges that are read when Prometheus asks: the state of the database, and of the pool. */
@Injectable()
export class DatabaseGauges {
  private readonly gauges: Map<keyof State, Gauge>;

  constructor(
    private readonly database: Database,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.gauges = new Map(
      GAUGES.map(([column, name, help]) => [column, new Gauge({ name, help, registers, labelNames: [] })]),
    );
    for (const [column, help] of POOL) {
      new Gauge({
        name: `accounting_database_connections_${column}`,
        help,
        registers,
        collect() {
          this.set(database.poolUse()[column]);
        },
      });
    }
  }

  /** A database that does not answer leaves the last values; the rest of the metrics must still come. */
  async refresh(): Promise<void> {
    const row = await this.database.row<State>(STATE).catch(() => undefined);
    if (row === undefined) return;
    for (const [column, gauge] of this.gauges) gauge.set(Number(row[column]));
  }
}
