import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';

/** Another name of a model, kept by admins: a deployment, an inference profile, a name with a provider in front. */
@Entity('pricing_aliases')
export class PricingAlias {
  @PrimaryColumn({ ...BIGINT, generated: true })
  id: number;

  @Column({ type: 'varchar' })
  alias: string;

  @Column({ name: 'model_id', type: 'varchar' })
  modelId: string;

  @Column({ name: 'created_by', type: 'varchar' })
  createdBy: string;

  @Column({ name: 'created_at', type: 'timestamptz', insert: false })
  createdAt: Date;
}
