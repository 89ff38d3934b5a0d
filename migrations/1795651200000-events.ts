import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Events, written with what they tell, and webhooks that they are delivered to. */
export class Events1795651200000 implements MigrationInterface {
  name = 'Events1795651200000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...EVENTS, ...WEBHOOKS]) await runner.query(statement);
    await installFunctions(runner);
    for (const statement of CAUSES) await runner.query(statement);
  }

  /** Refuses: endpoints, their secrets and what they still wait for would be lost. */
  down(): Promise<void> {
    return Promise.reject(new Error('Events cannot be reverted: deliveries that wait would be lost.'));
  }
}

const TYPES = `'credits.low', 'credits.exhausted', 'credits.expiring', 'session.timed_out', 'usage.needs_review',
               'api_key.created', 'api_key.revoked', 'api_key.expiring'`;

const EVENTS = [
  // As they are written, in their transactions; rows leave it when they are published.
  `CREATE TABLE event_outbox (
     id          BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_event_outbox PRIMARY KEY,
     user_id     VARCHAR(50) NOT NULL,
     type        VARCHAR(40) NOT NULL,
     occurred_at TIMESTAMPTZ NOT NULL,
     data        JSONB NOT NULL
   )`,
  `CREATE TABLE events (
     id           BIGINT GENERATED ALWAYS AS IDENTITY,
     user_id      VARCHAR(50) NOT NULL,
     type         VARCHAR(40) NOT NULL CONSTRAINT ck_events_type CHECK (type IN (${TYPES})),
     occurred_at  TIMESTAMPTZ NOT NULL,
     data         JSONB NOT NULL,
     published_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
     CONSTRAINT pk_events PRIMARY KEY (user_id, id)
   )`,
  'CREATE INDEX idx_events_id ON events (id)',
  'CREATE INDEX idx_events_published ON events (published_at)',
];

const WEBHOOKS = [
  `CREATE TABLE webhook_endpoints (
     id                    BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_webhook_endpoints PRIMARY KEY,
     url                   VARCHAR(2000) NOT NULL,
     event_types           TEXT[] CONSTRAINT ck_webhook_endpoints_types CHECK (event_types <@ ARRAY[${TYPES}]),
     description           VARCHAR(200),
     is_active             BOOLEAN NOT NULL DEFAULT TRUE,
     disabled_at           TIMESTAMPTZ,
     disabled_reason       VARCHAR(10)
                           CONSTRAINT ck_webhook_endpoints_reason CHECK (disabled_reason IN ('failing', 'gone')),
     failing_since         TIMESTAMPTZ,
     secret                TEXT NOT NULL,
     previous_secret       TEXT,
     previous_secret_until TIMESTAMPTZ,
     created_by            VARCHAR(50) NOT NULL,
     created_at            TIMESTAMPTZ NOT NULL DEFAULT now(),
     updated_at            TIMESTAMPTZ NOT NULL DEFAULT now(),
     CONSTRAINT ck_webhook_endpoints_previous CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL))
   )`,
  // One for each event and each endpoint that wants it.
  `CREATE TABLE webhook_deliveries (
     id              BIGINT GENERATED ALWAYS AS IDENTITY,
     endpoint_id     BIGINT NOT NULL CONSTRAINT fk_webhook_deliveries_endpoint
                     REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
     user_id         VARCHAR(50) NOT NULL,
     event_id        BIGINT NOT NULL,
     status          VARCHAR(10) NOT NULL DEFAULT 'pending'
                     CONSTRAINT ck_webhook_deliveries_status CHECK (status IN ('pending', 'delivered', 'dead')),
     attempts        INTEGER NOT NULL DEFAULT 0,
     last_attempt_at TIMESTAMPTZ,
     last_status     INTEGER,
     last_error      VARCHAR(200),
     delivered_at    TIMESTAMPTZ,
     created_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
     CONSTRAINT pk_webhook_deliveries PRIMARY KEY (user_id, id),
     CONSTRAINT fk_webhook_deliveries_event FOREIGN KEY (user_id, event_id)
       REFERENCES events (user_id, id) ON DELETE CASCADE,
     CONSTRAINT uq_webhook_deliveries_event UNIQUE (user_id, event_id, endpoint_id)
   )`,
  'CREATE INDEX idx_webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id)',
  `CREATE INDEX idx_webhook_deliveries_dead ON webhook_deliveries (endpoint_id, id) WHERE status = 'dead'`,
  `CREATE INDEX idx_webhook_deliveries_turn ON webhook_deliveries (endpoint_id, user_id, event_id)
     WHERE status = 'pending'`,
  `CREATE INDEX idx_webhook_deliveries_waiting ON webhook_deliveries (created_at) WHERE status = 'pending'`,
  // A user's deliveries at one endpoint, one after the other: it is what waits, is leased, and is tried again. There as
  // long as a delivery waits.
  `CREATE TABLE webhook_lanes (
     endpoint_id     BIGINT NOT NULL CONSTRAINT fk_webhook_lanes_endpoint
                     REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
     user_id         VARCHAR(50) NOT NULL,
     attempts        INTEGER NOT NULL DEFAULT 0,
     next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
     lease           UUID,
     CONSTRAINT pk_webhook_lanes PRIMARY KEY (endpoint_id, user_id)
   )`,
  'CREATE INDEX idx_webhook_lanes_due ON webhook_lanes (next_attempt_at)',
];

/** Locks of these tables come last, and are short. */
const CAUSES = [
  'ALTER TABLE credit_balances ADD COLUMN low_threshold BIGINT',
  `ALTER TABLE credit_balances
     ADD CONSTRAINT ck_credit_balances_threshold CHECK (low_threshold >= 0) NOT VALID`,
  'ALTER TABLE credit_allocations ADD COLUMN expiry_announced BOOLEAN NOT NULL DEFAULT FALSE',
  'ALTER TABLE api_keys ADD COLUMN expiry_announced TIMESTAMPTZ',
  `CREATE TRIGGER api_keys_created AFTER INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION api_key_changed()`,
  `CREATE TRIGGER api_keys_changed AFTER UPDATE OF is_active, expires_at, gateway_state ON api_keys FOR EACH ROW
     WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active OR OLD.expires_at IS DISTINCT FROM NEW.expires_at
           OR OLD.gateway_state IS DISTINCT FROM NEW.gateway_state)
     EXECUTE FUNCTION api_key_changed()`,
];
