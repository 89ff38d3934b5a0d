import type pg from 'pg';
import { stored } from '../../src/pricing/components.js';

/** The components of a rule that has a blended price of 1,000 tokens only. */
export const blended = (price: number) =>
  stored([
    { class: 'tokens', serviceTier: 'standard', contextAbove: 0, price: String(price / 1000), cost: null },
  ]);

/** Rules as they can only be made by waiting: `from` and `to` are intervals from now, the price is the blended one of 1,000 tokens. */
export async function insertRules(
  owner: pg.Pool,
  createdBy: string,
  rules: { modelId: string; price: number; from: string; to?: string }[],
): Promise<number[]> {
  const ids: number[] = [];
  for (const { modelId, price, from, to } of rules) {
    const { rows } = await owner.query<{ id: string }>(
      `INSERT INTO pricing_rules (model_id, components, effective_from, effective_to, created_by)
       VALUES ($1, $2, now() + $3::interval, now() + $4::interval, $5) RETURNING id`,
      [modelId, JSON.stringify(blended(price)), from, to ?? null, createdBy],
    );
    ids.push(Number(rows[0]?.id));
  }
  return ids;
}
