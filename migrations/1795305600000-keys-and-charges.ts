import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** API keys with a limit of their own, charges by request id, their review, and provider cost beside user price. */
export class KeysAndCharges1795305600000 implements MigrationInterface {
  name = 'KeysAndCharges1795305600000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...API_KEYS, ...PRICES, ...SESSIONS, ...USAGE]) await runner.query(statement);
    await installFunctions(runner);
  }

  /** Refuses: keys and charges would be lost, and the functions of before know nothing of them. */
  down(): Promise<void> {
    return Promise.reject(new Error('Keys and charges cannot be reverted: that would delete them.'));
  }
}

const API_KEYS = [
  // A rotated key is a new row; budget_key_id names the first of its line, whose row counts for all of them.
  `CREATE TABLE api_keys (
     id            BIGINT GENERATED ALWAYS AS IDENTITY,
     user_id       VARCHAR(50) NOT NULL
                   CONSTRAINT fk_api_keys_user REFERENCES user_accounts (user_id),
     key           VARCHAR(64) NOT NULL CONSTRAINT uq_api_keys_key UNIQUE
                   CONSTRAINT ck_api_keys_key CHECK (key ~ '^[0-9a-f]{64}$'),
     key_hint      VARCHAR(20) NOT NULL,
     name          VARCHAR(100) NOT NULL,
     permissions   TEXT[] NOT NULL DEFAULT '{}' CONSTRAINT ck_api_keys_permissions CHECK (permissions <@
                   ARRAY['credits:read', 'usage:read', 'usage:write', 'sessions:write', 'pricing:read']),
     created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
     expires_at    TIMESTAMPTZ,
     last_used     TIMESTAMPTZ,
     is_active     BOOLEAN NOT NULL DEFAULT TRUE,
     revoked_at    TIMESTAMPTZ,
     credit_limit  BIGINT CONSTRAINT ck_api_keys_limit CHECK (credit_limit >= 0),
     credits_used  BIGINT NOT NULL DEFAULT 0 CONSTRAINT ck_api_keys_used CHECK (credits_used >= 0),
     credits_held  BIGINT NOT NULL DEFAULT 0 CONSTRAINT ck_api_keys_held CHECK (credits_held >= 0),
     budget_key_id BIGINT,
     CONSTRAINT pk_api_keys PRIMARY KEY (user_id, id),
     CONSTRAINT fk_api_keys_budget FOREIGN KEY (user_id, budget_key_id) REFERENCES api_keys (user_id, id),
     CONSTRAINT ck_api_keys_revoked CHECK (is_active = (revoked_at IS NULL))
   )`,
  'CREATE INDEX idx_api_keys_id ON api_keys (id)',
];

const PRICES = [
  // Catalogues give prices per token with up to 23 decimals, and a mark-up adds some: all of them are kept.
  ...['price', 'input_price', 'output_price', 'cached_input_price'].map(
    (column) => `ALTER TABLE pricing_rules ALTER COLUMN ${column}_per_1k_tokens TYPE NUMERIC`,
  ),
  ...['cost', 'input_cost', 'output_cost', 'cached_cost'].map(
    (column) => `ALTER TABLE pricing_rules ALTER COLUMN provider_${column}_per_1k_tokens TYPE NUMERIC`,
  ),
];

const SESSIONS = [
  ...['price', 'input_price', 'output_price', 'cached_price'].map(
    (column) => `ALTER TABLE streaming_sessions ALTER COLUMN ${column}_per_1k TYPE NUMERIC`,
  ),
  'ALTER TABLE streaming_sessions ALTER COLUMN provider_cost_usd TYPE NUMERIC',
  `ALTER TABLE streaming_sessions
     ADD COLUMN cost_per_1k        NUMERIC,
     ADD COLUMN input_cost_per_1k  NUMERIC,
     ADD COLUMN output_cost_per_1k NUMERIC,
     ADD COLUMN cached_cost_per_1k NUMERIC,
     ADD COLUMN api_key_id         BIGINT,
     ADD COLUMN first_hold         BIGINT`,
  'UPDATE streaming_sessions SET first_hold = allocated_credits',
  'ALTER TABLE streaming_sessions ALTER COLUMN first_hold SET NOT NULL',
];

const USAGE = [
  'ALTER TABLE usage_records ALTER COLUMN provider_cost_usd TYPE NUMERIC',
  `ALTER TABLE usage_records
     ADD COLUMN provider_cost_source VARCHAR(10)
       CONSTRAINT ck_usage_records_cost_source CHECK (provider_cost_source IN ('reported', 'computed')),
     ADD COLUMN api_key_id     BIGINT,
     ADD COLUMN request_id     VARCHAR(200),
     ADD COLUMN request_hash   BYTEA,
     ADD COLUMN balance_after  BIGINT,
     ADD COLUMN review_action  VARCHAR(10)
       CONSTRAINT ck_usage_records_review CHECK (review_action IN ('bill', 'waive')),
     ADD COLUMN review_credits BIGINT,
     ADD COLUMN reviewed_by    VARCHAR(64),
     ADD COLUMN reviewed_at    TIMESTAMPTZ`,
  `UPDATE usage_records SET provider_cost_source = 'reported' WHERE provider_cost_usd IS NOT NULL`,
  'CREATE UNIQUE INDEX uq_usage_request ON usage_records (user_id, request_id) WHERE request_id IS NOT NULL',
  'CREATE INDEX idx_usage_id ON usage_records (id)',
  'ALTER TABLE usage_daily ALTER COLUMN provider_cost_usd TYPE NUMERIC',
  // The credits of records whose provider cost is known: what a margin can be made of.
  'ALTER TABLE usage_daily ADD COLUMN costed_credits NUMERIC(30, 0) NOT NULL DEFAULT 0',
  `UPDATE usage_daily d SET costed_credits = (
     SELECT coalesce(sum(r.credits), 0) FROM usage_records r
      WHERE r.user_id = d.user_id AND r.service = d.service AND r.operation = d.operation
        AND r.provider_cost_usd IS NOT NULL AND (r.timestamp AT TIME ZONE 'UTC')::date = d.day)
    WHERE d.costed_records > 0`,
];
