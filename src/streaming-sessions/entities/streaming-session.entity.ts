import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintTransformer } from '../../common/database/transformers.js';

const CREDITS = { type: 'bigint', transformer: bigintTransformer } as const;

/** One stream of an LLM and the credits it holds. Written by the SQL functions only. */
@Entity('streaming_sessions')
@Index('idx_streaming_user_status', ['userId', 'status', 'startedAt'], { where: `status = 'active'` })
@Check('ck_sessions_status', `status IN ('active', 'completed', 'failed')`)
export class StreamingSession {
  @PrimaryColumn({
    name: 'user_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_streaming_sessions',
  })
  userId: string;

  /** The caller's id of the stream, unique per user. */
  @PrimaryColumn({
    name: 'session_id',
    type: 'varchar',
    length: 100,
    primaryKeyConstraintName: 'pk_streaming_sessions',
  })
  sessionId: string;

  @Column(CREDITS)
  id: number;

  @Column({ name: 'model_id', type: 'varchar', length: 100 })
  modelId: string;

  @Column({ name: 'estimated_credits', ...CREDITS })
  estimatedCredits: number;

  /** What the session holds, or held when it ended. */
  @Column({ name: 'allocated_credits', ...CREDITS })
  allocatedCredits: number;

  @Column({ name: 'used_credits', ...CREDITS })
  usedCredits: number;

  @Column({ name: 'tokens_generated', ...CREDITS })
  tokensGenerated: number;

  @Column({ type: 'varchar', length: 20 })
  status: 'active' | 'completed' | 'failed';

  @Column({ name: 'end_reason', type: 'varchar', length: 20, nullable: true })
  endReason: 'finalized' | 'aborted' | 'timeout' | null;

  @Column({ name: 'started_at', type: 'timestamptz' })
  startedAt: Date;

  /** End of the lease: without a sign of life until then the session times out. */
  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  @Column({ name: 'completed_at', type: 'timestamptz', nullable: true })
  completedAt: Date | null;
}
