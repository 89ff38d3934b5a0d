import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Decisions of reviews are kept, one row each, and a usage record has a version that a review names. */
export class UsageReviews1796256000000 implements MigrationInterface {
  name = 'UsageReviews1796256000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...TABLES, ...EARLIER_DECISIONS]) await runner.query(statement);
    await installFunctions(runner);
  }

  /** The table stays: it holds decisions about money, and the release before does not know it. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}

const TABLES = [
  'ALTER TABLE usage_records ADD COLUMN version INTEGER NOT NULL DEFAULT 1',
  // One decision for each version of a record: a version that was decided on has a successor.
  `CREATE TABLE usage_reviews (
     user_id             VARCHAR(50) NOT NULL,
     usage_id            BIGINT NOT NULL,
     version             INTEGER NOT NULL CONSTRAINT ck_usage_reviews_version CHECK (version > 0),
     action              VARCHAR(10) NOT NULL CONSTRAINT ck_usage_reviews_action CHECK (action IN ('bill', 'waive')),
     uncollected_credits BIGINT NOT NULL CONSTRAINT ck_usage_reviews_uncollected CHECK (uncollected_credits >= 0),
     billed_credits      BIGINT NOT NULL,
     decided_by          VARCHAR(64) NOT NULL,
     decided_at          TIMESTAMPTZ NOT NULL,
     CONSTRAINT pk_usage_reviews PRIMARY KEY (user_id, usage_id, version),
     CONSTRAINT fk_usage_reviews_record FOREIGN KEY (user_id, usage_id) REFERENCES usage_records (user_id, id),
     CONSTRAINT ck_usage_reviews_billed CHECK (billed_credits >= 0 AND (action = 'bill' OR billed_credits = 0))
   )`,
  `CREATE TRIGGER usage_reviews_append_only BEFORE UPDATE OR DELETE ON usage_reviews
     FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change()`,
  `CREATE TRIGGER usage_reviews_no_truncate BEFORE TRUNCATE ON usage_reviews
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()`,
];

/**
 * A record of before knows its last decision, and its session what was open then. What a bill of another amount was about
 * is no longer known of a charge: the amount itself stands for it, and a charge is never corrected.
 */
const EARLIER_DECISIONS = [
  `INSERT INTO usage_reviews
     (user_id, usage_id, version, action, uncollected_credits, billed_credits, decided_by, decided_at)
   SELECT r.user_id, r.id, CASE WHEN s.completed_at > r.timestamp AND s.completed_at < r.reviewed_at THEN 2 ELSE 1 END,
          r.review_action,
          CASE WHEN r.session_id IS NOT NULL THEN s.uncollected_credits
               WHEN r.review_action = 'waive' THEN r.uncollected_credits
               ELSE coalesce(r.review_credits, r.credits) END,
          CASE WHEN r.review_action = 'waive' THEN 0
               ELSE coalesce(r.review_credits, s.uncollected_credits, r.credits) END,
          r.reviewed_by, r.reviewed_at
     FROM usage_records r LEFT JOIN streaming_sessions s ON s.user_id = r.user_id AND s.session_id = r.session_id
    WHERE r.review_action IS NOT NULL AND NOT EXISTS (
      SELECT FROM usage_reviews d WHERE d.user_id = r.user_id AND d.usage_id = r.id)`,
  // A late finalize has changed the record of a session after it was written.
  `UPDATE usage_records r
      SET version = 1 + (r.review_action IS NOT NULL)::integer + coalesce(s.completed_at > r.timestamp, FALSE)::integer
     FROM usage_records o LEFT JOIN streaming_sessions s ON s.user_id = o.user_id AND s.session_id = o.session_id
    WHERE r.user_id = o.user_id AND r.id = o.id AND r.version = 1
      AND (o.review_action IS NOT NULL OR s.completed_at > o.timestamp)`,
];
