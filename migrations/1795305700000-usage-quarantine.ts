import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Usage events of gateways that cannot be charged yet: of users nobody has seen, or not understood. */
export class UsageQuarantine1795305700000 implements MigrationInterface {
  name = 'UsageQuarantine1795305700000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of QUARANTINE) await runner.query(statement);
  }

  /** @throws Error while events wait: they are calls that somebody has to pay for. */
  async down(runner: QueryRunner): Promise<void> {
    const waiting: unknown[] = await runner.query(
      'SELECT 1 FROM usage_quarantine WHERE resolved_at IS NULL LIMIT 1',
    );
    if (waiting.length > 0) throw new Error('Events wait in usage_quarantine: replay them before this.');
    await runner.query('DROP TABLE usage_quarantine');
  }
}

const QUARANTINE = [
  `CREATE TABLE usage_quarantine (
     id            BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_usage_quarantine PRIMARY KEY,
     source        VARCHAR(20) NOT NULL,
     fingerprint   VARCHAR(64) NOT NULL CONSTRAINT uq_usage_quarantine_fingerprint UNIQUE
                   CONSTRAINT ck_usage_quarantine_fingerprint CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
     claimed_user  VARCHAR(255),
     reason        VARCHAR(20) NOT NULL CONSTRAINT ck_usage_quarantine_reason
                   CHECK (reason IN ('unknown_user', 'not_understood', 'refused')),
     detail        VARCHAR(200),
     event         JSONB NOT NULL,
     created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
     attempted_at  TIMESTAMPTZ,
     resolved_at   TIMESTAMPTZ,
     usage_user_id VARCHAR(50),
     usage_id      BIGINT,
     CONSTRAINT ck_usage_quarantine_usage CHECK ((usage_id IS NULL) = (usage_user_id IS NULL)
                                                 AND (usage_id IS NULL OR resolved_at IS NOT NULL))
   )`,
  // Small however long the history grows: of what still waits only.
  'CREATE INDEX idx_usage_quarantine_open ON usage_quarantine (id) WHERE resolved_at IS NULL',
  `CREATE INDEX idx_usage_quarantine_turn ON usage_quarantine (attempted_at NULLS FIRST, id)
    WHERE resolved_at IS NULL`,
  `CREATE INDEX idx_usage_quarantine_claimed ON usage_quarantine (claimed_user)
    WHERE resolved_at IS NULL AND reason = 'unknown_user'`,
];
