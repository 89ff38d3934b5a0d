import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { type Caller, idempotencyScope } from '../common/http/caller.js';
import { Changes, type Once } from '../common/database/changes.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { PriceImportQueryDto } from './dto/price-import.requests.js';
import type { PriceChangeDto, PriceImportDto } from './dto/price-import.responses.js';
import { type RulePrices, rulePrices } from './dto/pricing.responses.js';
import { modelFilter } from './model-filter.js';
import { type ModelPrice, type PriceMap, readPriceMap } from './price-map.js';
import { databaseTime, lockAllModels, PRICING } from './pricing-locks.js';

/** What a person can still look through. */
const MOST_CHANGES = 500;

/** What comparing and writing one takes at most: half of it was measured. */
const MILLISECONDS_PER_PRICE = 0.3;

/** An imported price beside the rules that the model has. */
interface Comparison {
  modelId: string;
  /** The rule in force; null: none. */
  currentId: string | null;
  /** Its prices and costs. */
  before: RulePrices | null;
  /** The next rule to come; null: none. */
  nextId: string | null;
  isSame: boolean;
  /** A rule that was made for this moment begins now: there is no time before it to fill. */
  isPreempted: boolean;
}

/** Takes the prices of a whole catalogue over: all of it at one instant, or nothing. */
@Injectable()
export class PricingImportService {
  constructor(
    private readonly changes: Changes,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** Opens a rule for every model whose price is new or another than before; `dryRun` only says what it would do. */
  async import(
    caller: Caller,
    map: PriceMap,
    query: PriceImportQueryDto,
    key: string | null,
  ): Promise<Once<PriceImportDto>> {
    const { prices, skipped, notes } = readPriceMap(map, {
      creditsPerUsd: query.creditsPerUsd ?? this.config.creditsPerUsd,
      markup: query.markup,
      includeFree: query.includeFree,
      selects: modelFilter(query.models),
    });
    const once = idempotencyOf(idempotencyScope(caller), 'price-import', key, { map, query });
    return this.changes.once(PRICING, once, async (manager) => {
      const { opened, preempted, ...applied } = await applyPrices(
        manager,
        caller.userId,
        prices,
        query.dryRun,
      );
      const late = preempted.map((modelId) => ({
        modelId,
        reason: 'another rule begins at this moment: import again',
      }));
      const { closed, unchanged, changes } = applied;
      return { created: opened, closed, unchanged, changes, skipped: [...skipped, ...late], notes };
    });
  }
}

async function applyPrices(manager: EntityManager, createdBy: string, prices: ModelPrice[], dryRun: boolean) {
  await lockAllModels(manager);
  // Ahead by what it takes to write them, and waited for: so it is the moment of the commit, and no call is charged at the
  // old prices after they are said to have ended. A rule that was made just now keeps a millisecond of its own.
  const lead = 1 + Math.ceil(prices.length * MILLISECONDS_PER_PRICE);
  const now = await databaseTime(manager);
  const begunAt = performance.now();
  const instant = new Date(now.getTime() + lead);
  const compared: Comparison[] = await manager.query(COMPARE, [...columnsOf(prices), instant]);
  const preempted = compared.filter(({ isPreempted }) => isPreempted).map(({ modelId }) => modelId);
  const changes = compared.filter(({ isSame, isPreempted }) => !isSame && !isPreempted);
  const ended = changes.flatMap(({ currentId }) => (currentId === null ? [] : [currentId]));
  const byModel = new Map(prices.map((price) => [price.modelId, price]));
  if (!dryRun && changes.length > 0) {
    await manager.query('UPDATE pricing_rules SET effective_to = $2 WHERE id = ANY($1::bigint[])', [
      ended,
      instant,
    ]);
    const changed = changes.map(({ modelId }) => byModel.get(modelId) as ModelPrice);
    const next = changes.map(({ nextId }) => nextId);
    await manager.query(OPEN, [...columnsOf(changed), instant, next, createdBy]);
    await manager.query(SUPERSEDE, [ended, instant]);
    await pause(Math.max(lead - (performance.now() - begunAt), 0));
  }
  return {
    opened: changes.length,
    changes: changes
      .sort((one, other) => (one.modelId < other.modelId ? -1 : 1))
      .slice(0, MOST_CHANGES)
      .map(({ modelId, before }): PriceChangeDto => {
        const after = byModel.get(modelId) as ModelPrice;
        return { modelId, before: before && rulePrices(before), after: rulePrices(after) };
      }),
    closed: ended.length,
    unchanged: compared.length - changes.length - preempted.length,
    preempted,
  };
}

/** One array per column, as `unnest` takes them: one statement for any number of models. */
function columnsOf(prices: ModelPrice[]): (string | null)[][] {
  return PRICE_COLUMNS.map(([property]) => prices.map((price) => price[property]));
}

const PRICE_COLUMNS = [
  ['modelId', 'model_id'],
  ['price', 'price_per_1k_tokens'],
  ['inputPrice', 'input_price_per_1k_tokens'],
  ['outputPrice', 'output_price_per_1k_tokens'],
  ['cachedInputPrice', 'cached_input_price_per_1k_tokens'],
  ['providerCost', 'provider_cost_per_1k_tokens'],
  ['providerInputCost', 'provider_input_cost_per_1k_tokens'],
  ['providerOutputCost', 'provider_output_cost_per_1k_tokens'],
  ['providerCachedCost', 'provider_cached_cost_per_1k_tokens'],
] as const satisfies [keyof ModelPrice, string][];

const COLUMNS = PRICE_COLUMNS.map(([, column]) => column);
const PRICES = COLUMNS.slice(1);
const IMPORTED = `unnest($1::text[], ${PRICES.map((_, index) => `$${index + 2}::numeric[]`).join(', ')})`;
const INSTANT = `$${COLUMNS.length + 1}::timestamptz`;

// As text: a number of JSON would lose digits.
const BEFORE = `CASE WHEN current.id IS NOT NULL THEN json_build_object(${PRICE_COLUMNS.slice(1)
  .map(([property, column]) => `'${property}', trim_scale(current.${column})::text`)
  .join(', ')}) END`;

const COMPARE = `
  SELECT imported.model_id AS "modelId", current.id AS "currentId", ${BEFORE} AS before, next.id AS "nextId",
         coalesce(next.effective_from = ${INSTANT}, FALSE) AS "isPreempted",
         current.id IS NOT NULL AND (${PRICES.map((column) => `imported.${column}`).join(', ')})
           IS NOT DISTINCT FROM (${PRICES.map((column) => `current.${column}`).join(', ')}) AS "isSame"
    FROM ${IMPORTED} AS imported (${COLUMNS.join(', ')})
    LEFT JOIN pricing_rules current
      ON current.model_id = imported.model_id AND current.effective_from < ${INSTANT}
     AND (current.effective_to IS NULL OR current.effective_to > ${INSTANT})
    LEFT JOIN LATERAL (
      SELECT rule.id, rule.effective_from FROM pricing_rules rule
       WHERE rule.model_id = imported.model_id AND rule.effective_from >= ${INSTANT}
         AND (rule.effective_to IS NULL OR rule.effective_to > rule.effective_from)
       ORDER BY rule.effective_from LIMIT 1) next ON TRUE`;

// superseded_by: withdrawing the rule to come before it begins lets the new one go on.
const OPEN = `
  INSERT INTO pricing_rules (${COLUMNS.join(', ')}, effective_from, effective_to, superseded_by, created_by)
  SELECT ${COLUMNS.map((column) => `imported.${column}`).join(', ')}, ${INSTANT}, next.effective_from, next.id, $12
    FROM ${IMPORTED.replace(/\)$/, `, $11::bigint[])`)} AS imported (${COLUMNS.join(', ')}, next_id)
    LEFT JOIN pricing_rules next ON next.id = imported.next_id`;

const SUPERSEDE = `
  UPDATE pricing_rules ended SET superseded_by = opened.id
    FROM pricing_rules opened
   WHERE ended.id = ANY($1::bigint[]) AND opened.model_id = ended.model_id AND opened.effective_from = $2`;
