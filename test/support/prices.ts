import type pg from 'pg';

/** Rules as they can only be made by waiting: `from` and `to` are intervals from now, the price is the blended one of 1,000 tokens. */
export async function insertRules(
  owner: pg.Pool,
  createdBy: string,
  rules: { modelId: string; price: number; from: string; to?: string }[],
): Promise<number[]> {
  const ids: number[] = [];
  for (const { modelId, price, from, to } of rules) {
    const { rows } = await owner.query<{ id: string }>(
      `WITH rule AS (
         INSERT INTO pricing_rules (model_id, effective_from, effective_to, created_by)
         VALUES ($1, now() + $2::interval, now() + $3::interval, $4) RETURNING id)
       INSERT INTO price_components (rule_id, class, price) SELECT id, 'tokens', $5 * 0.001 FROM rule RETURNING rule_id AS id`,
      [modelId, from, to ?? null, createdBy, price],
    );
    ids.push(Number(rows[0]?.id));
  }
  return ids;
}
