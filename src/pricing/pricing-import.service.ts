import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Author } from '../common/http/author.js';
import { idempotencyScope } from '../common/http/caller.js';
import { noteActivity } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { rulePrices, stored } from './components.js';
import type { PriceImportQueryDto } from './dto/price-import.requests.js';
import type { PriceChangeDto, PriceImportDto } from './dto/price-import.responses.js';
import { modelFilter } from './model-filter.js';
import type { StoredComponents } from './price-classes.js';
import { type ModelPrice, type PriceMap, readPriceMap } from './price-map.js';
import { databaseTime, lockAllModels, PRICING } from './pricing-locks.js';

/** What a person can still look through. */
const MOST_CHANGES = 500;

/** Changes that the activity log names; the rules themselves are the whole history. */
const MOST_NOTED = 50;

/** What comparing and writing one takes at most: half of it was measured. */
const MILLISECONDS_PER_PRICE = 0.3;

/** An imported price beside the rules that the model has. */
interface Comparison {
  modelId: string;
  /** The rule in force; null: none. */
  currentId: string | null;
  /** What it says. */
  before: StoredComponents | null;
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
    caller: Author,
    map: PriceMap,
    query: PriceImportQueryDto,
    key: string | null,
  ): Promise<Once<PriceImportDto>> {
    const { prices, skipped, notes, providers } = readPriceMap(map, {
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
      if (!query.dryRun) await manager.query(ADD_PROVIDERS, [[...providers]]);
      const late = preempted.map((modelId) => ({
        modelId,
        reason: 'another rule begins at this moment: import again',
      }));
      const { closed, unchanged, changes } = applied;
      if (opened > 0 && !query.dryRun)
        await noteActivity(manager, caller, {
          action: 'prices.imported',
          subject: 'catalogue',
          after: { created: opened, closed, unchanged, changes: changes.slice(0, MOST_NOTED) },
        });
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
  const compared: Comparison[] = await manager.query(COMPARE, [jsonOf(prices), instant]);
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
    await manager.query(OPEN, [jsonOf(changed), instant, next, createdBy]);
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
        return { modelId, before: before && rulePrices(before), after: rulePrices(stored(after.components)) };
      }),
    closed: ended.length,
    unchanged: compared.length - changes.length - preempted.length,
    preempted,
  };
}

/** One parameter for any number of models. */
const jsonOf = (prices: ModelPrice[]) =>
  JSON.stringify(prices.map(({ modelId, components }) => ({ modelId, components: stored(components) })));

const IMPORTED = `jsonb_to_recordset($1::jsonb) AS imported ("modelId" text, components jsonb)`;

const COMPARE = `
  SELECT imported."modelId", current.id AS "currentId", current.components AS before, next.id AS "nextId",
         coalesce(next.effective_from = $2, FALSE) AS "isPreempted",
         current.id IS NOT NULL AND imported.components = current.components AS "isSame"
    FROM ${IMPORTED}
    LEFT JOIN pricing_rules current
      ON current.model_id = imported."modelId" AND current.source = 'rule' AND current.effective_from < $2
     AND (current.effective_to IS NULL OR current.effective_to > $2)
    LEFT JOIN LATERAL (
      SELECT rule.id, rule.effective_from FROM pricing_rules rule
       WHERE rule.model_id = imported."modelId" AND rule.source = 'rule' AND rule.effective_from >= $2
         AND (rule.effective_to IS NULL OR rule.effective_to > rule.effective_from)
       ORDER BY rule.effective_from LIMIT 1) next ON TRUE`;

// superseded_by: withdrawing the rule to come before it begins lets the new one go on.
const OPEN = `
  INSERT INTO pricing_rules (model_id, components, effective_from, effective_to, superseded_by, created_by)
  SELECT imported."modelId", imported.components, $2, next.effective_from, next.id, $4
    FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS ("modelId" text, components jsonb), unnest($3::bigint[]))
         AS imported ("modelId", components, next_id)
    LEFT JOIN pricing_rules next ON next.id = imported.next_id`;

const ADD_PROVIDERS = `
  INSERT INTO pricing_providers (name) SELECT unnest($1::varchar[]) ON CONFLICT (name) DO NOTHING`;

const SUPERSEDE = `
  UPDATE pricing_rules ended SET superseded_by = opened.id
    FROM pricing_rules opened
   WHERE ended.id = ANY($1::bigint[]) AND opened.model_id = ended.model_id AND opened.source = 'rule' AND opened.effective_from = $2`;
