import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';

/** One stream of an LLM and the credits it holds. Written by the SQL functions only. */
@Entity('streaming_sessions')
export class StreamingSession {
  @PrimaryColumn({ name: 'account_id', type: 'varchar' })
  accountId: string;

  @PrimaryColumn({ name: 'user_id', type: 'varchar' })
  userId: string;

  /** The caller's id of the stream, unique per user. */
  @PrimaryColumn({ name: 'session_id', type: 'varchar' })
  sessionId: string;

  @Column(BIGINT)
  id: number;

  @Column({ name: 'model_id', type: 'varchar' })
  modelId: string;

  @Column({ name: 'estimated_credits', ...BIGINT })
  estimatedCredits: number;

  /** What the session holds, or held when it ended. */
  @Column({ name: 'allocated_credits', ...BIGINT })
  allocatedCredits: number;

  @Column({ name: 'used_credits', ...BIGINT })
  usedCredits: number;

  /** The most tokens that a progress report has named. */
  @Column({ name: 'tokens_generated', ...BIGINT })
  tokensGenerated: number;

  @Column({ type: 'varchar' })
  status: 'active' | 'completed' | 'failed';

  @Column({ name: 'started_at', type: 'timestamptz' })
  startedAt: Date;

  /** End of the lease: without a sign of life until then the session times out. */
  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  @Column({ name: 'completed_at', type: 'timestamptz', nullable: true })
  completedAt: Date | null;

  /** The key it was started with, whose limit it counts for. */
  @Column({ name: 'api_key_id', ...BIGINT, nullable: true })
  apiKeyId: number | null;
}
