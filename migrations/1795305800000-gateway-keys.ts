import type { MigrationInterface, QueryRunner } from 'typeorm';

/** API keys that also work at a gateway (LiteLLM), and how far each has come there. */
export class GatewayKeys1795305800000 implements MigrationInterface {
  name = 'GatewayKeys1795305800000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  /** Refuses: nobody would know any more which keys the gateway still has to be told of. */
  down(): Promise<void> {
    return Promise.reject(
      new Error('Gateway keys cannot be reverted: their state at the gateway would be lost.'),
    );
  }
}

const STATEMENTS = [
  // gateway_due_at is when the sweeper must look at a key; whatever is not settled has one.
  `ALTER TABLE api_keys
     ADD COLUMN gateway          VARCHAR(20)
       CONSTRAINT ck_api_keys_gateway CHECK (gateway = 'litellm'),
     ADD COLUMN gateway_state    VARCHAR(10) CONSTRAINT ck_api_keys_gateway_state CHECK
       (gateway_state IN ('pending', 'opening', 'live', 'ending', 'failed', 'ended')),
     ADD COLUMN gateway_settings JSONB,
     ADD COLUMN gateway_due_at   TIMESTAMPTZ,
     ADD COLUMN gateway_attempts INTEGER NOT NULL DEFAULT 0,
     ADD CONSTRAINT ck_api_keys_gateway_whole CHECK
       ((gateway IS NULL) = (gateway_state IS NULL) AND (gateway IS NULL) = (gateway_settings IS NULL)),
     ADD CONSTRAINT ck_api_keys_gateway_active CHECK
       (is_active OR gateway_state NOT IN ('pending', 'opening', 'live')),
     ADD CONSTRAINT ck_api_keys_gateway_due CHECK
       (gateway_due_at IS NOT NULL OR gateway_state = 'ended' OR (gateway_state = 'live' AND expires_at IS NULL))`,
  `CREATE INDEX idx_api_keys_gateway_due ON api_keys (gateway_due_at) WHERE gateway_due_at IS NOT NULL`,
];
