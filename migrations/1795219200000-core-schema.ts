import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/**
 * The tables of the accounting core.
 *
 * Ids and credits are BIGINT, prices and USD exact NUMERIC, times TIMESTAMPTZ. Keys between per-user tables start
 * with `user_id`, so that one user's rows lie together and the schema can be distributed by user.
 */
export class CoreSchema1795219200000 implements MigrationInterface {
  name = 'CoreSchema1795219200000';

  async up(runner: QueryRunner): Promise<void> {
    // The exclusion constraint on price periods compares text inside a GiST index.
    await runner.query('CREATE EXTENSION IF NOT EXISTS btree_gist');
    for (const statement of [...ACCOUNTS, ...CREDITS, ...PRICING, ...SESSIONS, ...USAGE, ...IDEMPOTENCY]) {
      await runner.query(statement);
    }
    await installFunctions(runner);
    for (const statement of APPEND_ONLY) await runner.query(statement);
  }

  /** Refuses: taking the first migration back would delete every balance. Drop the database if that is meant. */
  down(): Promise<void> {
    return Promise.reject(new Error('The core schema cannot be reverted: that would delete all credits.'));
  }
}

const ACCOUNTS = [
  `CREATE TABLE user_accounts (
     user_id    VARCHAR(50)  CONSTRAINT pk_user_accounts PRIMARY KEY,
     email      VARCHAR(255) NOT NULL CONSTRAINT uq_user_accounts_email UNIQUE,
     username   VARCHAR(100) NOT NULL,
     role       VARCHAR(50)  NOT NULL DEFAULT 'user'
                CONSTRAINT ck_user_accounts_role CHECK (role IN ('user', 'supervisor', 'admin')),
     created_at TIMESTAMPTZ  NOT NULL DEFAULT now(),
     updated_at TIMESTAMPTZ  NOT NULL DEFAULT now()
   )`,
];

const CREDITS = [
  // The upper limit keeps every balance exact as a JSON number (2^53 - 1).
  `CREATE TABLE credit_balances (
     user_id     VARCHAR(50) CONSTRAINT pk_credit_balances PRIMARY KEY
                 CONSTRAINT fk_credit_balances_user REFERENCES user_accounts (user_id),
     available   BIGINT NOT NULL DEFAULT 0 CONSTRAINT ck_credit_balances_available CHECK (available >= 0),
     held        BIGINT NOT NULL DEFAULT 0 CONSTRAINT ck_credit_balances_held CHECK (held >= 0),
     next_expiry TIMESTAMPTZ,
     CONSTRAINT ck_credit_balances_limit CHECK (available + held <= 9007199254740991)
   ) WITH (fillfactor = 50)`,
  // is_open is what the partial indexes ask for: it changes only when a lot runs empty or is refilled, so taking
  // credits from a lot stays a heap-only update; asking for remaining_credits > 0 would index every change.
  `CREATE TABLE credit_allocations (
     id                BIGINT GENERATED ALWAYS AS IDENTITY,
     user_id           VARCHAR(50) NOT NULL
                       CONSTRAINT fk_credit_allocations_user REFERENCES user_accounts (user_id),
     total_credits     BIGINT NOT NULL CONSTRAINT ck_credit_allocations_total CHECK (total_credits >= 0),
     remaining_credits BIGINT NOT NULL,
     allocated_by      VARCHAR(64) NOT NULL,
     allocated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
     expires_at        TIMESTAMPTZ NOT NULL,
     notes             TEXT,
     revoked_at        TIMESTAMPTZ,
     is_open           BOOLEAN NOT NULL DEFAULT TRUE,
     CONSTRAINT pk_credit_allocations PRIMARY KEY (user_id, id),
     CONSTRAINT ck_credit_allocations_remaining CHECK (remaining_credits BETWEEN 0 AND total_credits),
     CONSTRAINT ck_credit_allocations_open CHECK (is_open = (remaining_credits > 0)),
     CONSTRAINT ck_credit_allocations_revoked CHECK (revoked_at IS NULL OR remaining_credits = 0)
   ) WITH (fillfactor = 80)`,
  'CREATE INDEX idx_credit_user_expiry ON credit_allocations (user_id, expires_at)',
  'CREATE INDEX idx_credit_open ON credit_allocations (user_id, expires_at, id) WHERE is_open',
  'CREATE INDEX idx_credit_open_expiry ON credit_allocations (expires_at) WHERE is_open',
  'CREATE INDEX idx_credit_allocation_id ON credit_allocations (id)',
  `CREATE TABLE credit_ledger (
     id            BIGINT GENERATED ALWAYS AS IDENTITY,
     user_id       VARCHAR(50) NOT NULL,
     kind          VARCHAR(20) NOT NULL,
     credits       BIGINT NOT NULL,
     balance_after BIGINT NOT NULL CONSTRAINT ck_credit_ledger_balance CHECK (balance_after >= 0),
     allocation_id BIGINT NOT NULL,
     session_id    VARCHAR(100),
     usage_id      BIGINT,
     actor         VARCHAR(64) NOT NULL,
     notes         TEXT,
     created_at    TIMESTAMPTZ NOT NULL,
     CONSTRAINT pk_credit_ledger PRIMARY KEY (user_id, id),
     CONSTRAINT fk_credit_ledger_allocation FOREIGN KEY (user_id, allocation_id)
       REFERENCES credit_allocations (user_id, id),
     CONSTRAINT ck_credit_ledger_sign CHECK (
       CASE WHEN kind IN ('allocation', 'refund') THEN credits > 0
            WHEN kind IN ('hold', 'charge', 'deduction', 'revocation', 'expiry') THEN credits < 0
            ELSE FALSE END)
   )`,
];

const PRICING = [
  `CREATE TABLE pricing_rules (
     id                                  BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_pricing_rules PRIMARY KEY,
     model_id                            VARCHAR(100) NOT NULL,
     price_per_1k_tokens                 NUMERIC(30, 18) NOT NULL,
     input_price_per_1k_tokens           NUMERIC(30, 18),
     output_price_per_1k_tokens          NUMERIC(30, 18),
     cached_input_price_per_1k_tokens    NUMERIC(30, 18),
     provider_cost_per_1k_tokens         NUMERIC(30, 18),
     provider_input_cost_per_1k_tokens   NUMERIC(30, 18),
     provider_output_cost_per_1k_tokens  NUMERIC(30, 18),
     provider_cached_cost_per_1k_tokens  NUMERIC(30, 18),
     effective_from                      TIMESTAMPTZ NOT NULL DEFAULT now(),
     effective_to                        TIMESTAMPTZ,
     superseded_by                       BIGINT,
     created_by                          VARCHAR(50) NOT NULL
                                         CONSTRAINT fk_pricing_rules_creator REFERENCES user_accounts (user_id),
     CONSTRAINT ck_pricing_rules_prices CHECK (
       price_per_1k_tokens BETWEEN 0 AND 1000000
       AND input_price_per_1k_tokens BETWEEN 0 AND 1000000
       AND output_price_per_1k_tokens BETWEEN 0 AND 1000000
       AND cached_input_price_per_1k_tokens BETWEEN 0 AND 1000000
       AND provider_cost_per_1k_tokens >= 0
       AND provider_input_cost_per_1k_tokens >= 0
       AND provider_output_cost_per_1k_tokens >= 0
       AND provider_cached_cost_per_1k_tokens >= 0),
     CONSTRAINT ck_pricing_rules_period CHECK (effective_to > effective_from),
     CONSTRAINT ex_pricing_rules_period EXCLUDE USING gist
       (model_id WITH =, tstzrange(effective_from, effective_to) WITH &&)
   )`,
  'CREATE INDEX idx_pricing_model_from ON pricing_rules (model_id, effective_from DESC)',
];

const SESSIONS = [
  // held_lots and held_credits say lot by lot what the session has taken and not given back: while it is active they
  // add up to allocated_credits, afterwards to what it really paid.
  `CREATE TABLE streaming_sessions (
     id                       BIGINT GENERATED ALWAYS AS IDENTITY,
     session_id               VARCHAR(100) NOT NULL,
     user_id                  VARCHAR(50) NOT NULL
                              CONSTRAINT fk_streaming_sessions_user REFERENCES user_accounts (user_id),
     model_id                 VARCHAR(100) NOT NULL,
     estimated_credits        BIGINT NOT NULL CONSTRAINT ck_sessions_estimated CHECK (estimated_credits >= 0),
     allocated_credits        BIGINT NOT NULL CONSTRAINT ck_sessions_allocated CHECK (allocated_credits >= 0),
     used_credits             BIGINT NOT NULL DEFAULT 0 CONSTRAINT ck_sessions_used CHECK (used_credits >= 0),
     uncollected_credits      BIGINT NOT NULL DEFAULT 0
                              CONSTRAINT ck_sessions_uncollected CHECK (uncollected_credits BETWEEN 0 AND used_credits),
     status                   VARCHAR(20) NOT NULL DEFAULT 'active'
                              CONSTRAINT ck_sessions_status CHECK (status IN ('active', 'completed', 'failed')),
     end_reason               VARCHAR(20)
                              CONSTRAINT ck_sessions_end CHECK (end_reason IN ('finalized', 'aborted', 'timeout')),
     is_late                  BOOLEAN NOT NULL DEFAULT FALSE,
     estimated_tokens         BIGINT,
     estimated_input_tokens   BIGINT,
     estimated_output_tokens  BIGINT,
     tokens_generated         BIGINT NOT NULL DEFAULT 0,
     final_tokens             BIGINT,
     final_input_tokens       BIGINT,
     final_output_tokens      BIGINT,
     final_cached_tokens      BIGINT,
     provider_cost_usd        NUMERIC(30, 18),
     pricing_rule_id          BIGINT,
     pricing_source           VARCHAR(10) NOT NULL,
     price_per_1k             NUMERIC(30, 18) NOT NULL,
     input_price_per_1k       NUMERIC(30, 18),
     output_price_per_1k      NUMERIC(30, 18),
     cached_price_per_1k      NUMERIC(30, 18),
     held_lots                BIGINT[] NOT NULL,
     held_credits             BIGINT[] NOT NULL,
     remaining_after_hold     BIGINT NOT NULL,
     usage_id                 BIGINT,
     started_at               TIMESTAMPTZ NOT NULL,
     expires_at               TIMESTAMPTZ NOT NULL,
     completed_at             TIMESTAMPTZ,
     CONSTRAINT pk_streaming_sessions PRIMARY KEY (user_id, session_id),
     CONSTRAINT ck_sessions_ended CHECK ((status = 'active') = (end_reason IS NULL)
                                     AND (status = 'active') = (completed_at IS NULL)),
     CONSTRAINT ck_sessions_holds CHECK (cardinality(held_lots) = cardinality(held_credits))
   ) WITH (fillfactor = 70)`,
  `CREATE INDEX idx_streaming_user_status ON streaming_sessions (user_id, status, started_at)
     WHERE status = 'active'`,
  `CREATE INDEX idx_streaming_stale ON streaming_sessions (expires_at) WHERE status = 'active'`,
];

const USAGE = [
  `CREATE TABLE usage_records (
     id                  BIGINT GENERATED ALWAYS AS IDENTITY,
     user_id             VARCHAR(50) NOT NULL
                         CONSTRAINT fk_usage_records_user REFERENCES user_accounts (user_id),
     timestamp           TIMESTAMPTZ NOT NULL DEFAULT now(),
     service             VARCHAR(50) NOT NULL,
     operation           VARCHAR(100) NOT NULL,
     credits             BIGINT NOT NULL CONSTRAINT ck_usage_records_credits CHECK (credits >= 0),
     metadata            JSONB NOT NULL DEFAULT '{}',
     billing_status      VARCHAR(20) NOT NULL CONSTRAINT ck_usage_records_status
                         CHECK (billing_status IN ('recorded', 'billed', 'needs_review', 'waived')),
     uncollected_credits BIGINT NOT NULL DEFAULT 0
                         CONSTRAINT ck_usage_records_uncollected CHECK (uncollected_credits BETWEEN 0 AND credits),
     provider_cost_usd   NUMERIC(30, 18) CONSTRAINT ck_usage_records_cost CHECK (provider_cost_usd >= 0),
     session_id          VARCHAR(100),
     pricing_rule_id     BIGINT,
     pricing_source      VARCHAR(10),
     CONSTRAINT pk_usage_records PRIMARY KEY (user_id, id)
   ) WITH (fillfactor = 90)`,
  'CREATE INDEX idx_usage_user_timestamp ON usage_records (user_id, timestamp, id)',
  'CREATE INDEX idx_usage_timestamp ON usage_records (timestamp)',
  `CREATE INDEX idx_usage_needs_review ON usage_records (timestamp, id) WHERE billing_status = 'needs_review'`,
  // One row per user, UTC day, service and operation, kept in the transaction that writes the record.
  `CREATE TABLE usage_daily (
     user_id           VARCHAR(50) NOT NULL,
     day               DATE NOT NULL,
     service           VARCHAR(50) NOT NULL,
     operation         VARCHAR(100) NOT NULL,
     records           BIGINT NOT NULL CONSTRAINT ck_usage_daily_records CHECK (records >= 0),
     credits           NUMERIC(30, 0) NOT NULL CONSTRAINT ck_usage_daily_credits CHECK (credits >= 0),
     provider_cost_usd NUMERIC(38, 18) NOT NULL DEFAULT 0,
     costed_records    BIGINT NOT NULL DEFAULT 0,
     unpriced_records  BIGINT NOT NULL DEFAULT 0,
     CONSTRAINT pk_usage_daily PRIMARY KEY (user_id, day, service, operation)
   ) WITH (fillfactor = 70)`,
  'CREATE INDEX idx_usage_daily_day ON usage_daily (day)',
];

const IDEMPOTENCY = [
  `CREATE TABLE idempotency_keys (
     caller_id    VARCHAR(64) NOT NULL,
     key          VARCHAR(255) NOT NULL,
     request_hash BYTEA NOT NULL CONSTRAINT ck_idempotency_hash CHECK (octet_length(request_hash) = 32),
     response     JSONB NOT NULL,
     created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
     CONSTRAINT pk_idempotency_keys PRIMARY KEY (caller_id, key)
   )`,
  'CREATE INDEX idx_idempotency_created ON idempotency_keys (created_at)',
];

const APPEND_ONLY = [
  `CREATE TRIGGER credit_ledger_append_only BEFORE UPDATE OR DELETE ON credit_ledger
     FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change()`,
  `CREATE TRIGGER credit_ledger_no_truncate BEFORE TRUNCATE ON credit_ledger
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()`,
];
