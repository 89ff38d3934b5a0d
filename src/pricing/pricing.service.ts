import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { type EntityManager, MoreThan, MoreThanOrEqual, QueryFailedError } from 'typeorm';
import type { Author } from '../common/http/author.js';
import { idempotencyScope } from '../common/http/caller.js';
import { noteActivity } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import { Database } from '../common/database/database.js';
import { postgresError } from '../common/errors/database-errors.js';
import { ValidationError } from '../common/errors/service-error.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { componentsOf, rulePrices, stored } from './components.js';
import { type CreatePricingRuleDto, PERIOD_PROBLEM } from './dto/pricing.requests.js';
import {
  type ModelPricingDto,
  type PricingPageDto,
  PricingRuleDto,
  type RulePricesDto,
} from './dto/pricing.responses.js';
import { PricingRule } from './entities/pricing-rule.entity.js';
import {
  PricingOverlap,
  PricingRuleBuiltIn,
  PricingRuleEnded,
  PricingRuleNotFound,
} from './pricing.errors.js';
import { databaseTime, lockModel, PRICING } from './pricing-locks.js';

/** How far a client's clock may lag when it says «from now». */
const PAST_TOLERANCE_SECONDS = 60;
const IN_FORCE = 'effective_from <= now() AND (effective_to IS NULL OR effective_to > now())';
/** A rule that was withdrawn ends where it begins. */
const NOT_WITHDRAWN = '(rule.effectiveTo IS NULL OR rule.effectiveTo > rule.effectiveFrom)';
/** Rules of one model that the answer names on each side of the one in force: those nearest to now. */
const MOST_NAMED = 200;
const nearest = (when: string, order: 'ASC' | 'DESC') =>
  `id IN (SELECT id FROM pricing_rules
           WHERE model_id = $1 AND ${when} AND (effective_to IS NULL OR effective_to > effective_from)
           ORDER BY effective_from ${order} LIMIT ${MOST_NAMED})`;
const UPCOMING = nearest('effective_from > now()', 'ASC');
const ENDED = nearest('effective_to <= now()', 'DESC');

/** A rule without its components. */
const RULE = `SELECT id::float8, model_id AS "modelId", source, effective_from AS "effectiveFrom",
                     effective_to AS "effectiveTo", created_by AS "createdBy"`;
type RuleRow = Omit<PricingRule, 'components' | 'supersededBy'>;

const RULES_IN_FORCE = {
  name: 'pricing_in_force',
  text: `${RULE} FROM pricing_rules WHERE ${IN_FORCE} AND id > $1 ORDER BY id LIMIT $2`,
};
const RULES_OF_MODEL = {
  name: 'pricing_of_model',
  text: `${RULE}, effective_from > now() AS "isUpcoming", (${IN_FORCE}) AS "isCurrent"
           FROM pricing_rules WHERE model_id = $1 AND (${IN_FORCE} OR ${UPCOMING} OR ${ENDED})
          ORDER BY effective_from DESC`,
};
const COMPONENTS = {
  name: 'pricing_components',
  text: 'SELECT id::float8, components FROM pricing_rules WHERE id = ANY($1::bigint[])',
};

/** Components whose form in answers is kept, of all rules together: 13 MB were measured, for ten to a rule. */
const KEPT_COMPONENTS = 100_000;

/** Pricing rules: an immutable history per model, without overlaps. Times are the database's. */
@Injectable()
export class PricingService {
  /** What the components of rules say, by the rule's id: they never change. */
  private readonly prices = new LRUCache<number, RulePricesDto>({
    maxSize: KEPT_COMPONENTS,
    sizeCalculation: ({ components }) => components.length,
  });

  constructor(
    private readonly database: Database,
    private readonly changes: Changes,
  ) {}

  /** The rules in force now, in the order they were made. */
  async inForce({ limit, cursor }: PageQueryDto): Promise<PricingPageDto> {
    const rows = await this.database.rows<RuleRow>(RULES_IN_FORCE, [decodeCursor(cursor) ?? 0, limit + 1]);
    const { items, nextCursor } = toPage(rows, limit, (row) => row);
    return { items: await this.described(items), nextCursor };
  }

  /** What is known of a model's price, to a bound; empty for a model without rules. */
  async ofModel(modelId: string): Promise<ModelPricingDto> {
    const rows = await this.database.rows<RuleRow & { isUpcoming: boolean; isCurrent: boolean }>(
      RULES_OF_MODEL,
      [modelId],
    );
    const answer: ModelPricingDto = { current: null, upcoming: [], history: [] };
    for (const [index, rule] of (await this.described(rows)).entries()) {
      if (rows[index]?.isUpcoming) answer.upcoming.unshift(rule);
      // The built-in rule is in force only where there is no other.
      else if (rows[index]?.isCurrent)
        answer.current = answer.current?.source === 'rule' ? answer.current : rule;
      else answer.history.push(rule);
    }
    return answer;
  }

  /** With their prices, which are formed once: read and formed each time, a page of 200 took 18 ms of processor time instead of 5. */
  private async described(rules: RuleRow[]): Promise<PricingRuleDto[]> {
    const prices = new Map(rules.map(({ id }) => [id, this.prices.get(id)]));
    const unknown = rules.flatMap(({ id }) => (prices.get(id) === undefined ? [id] : []));
    const read =
      unknown.length === 0
        ? []
        : await this.database.rows<Pick<PricingRule, 'id' | 'components'>>(COMPONENTS, [unknown]);
    for (const { id, components } of read) {
      const formed = rulePrices(components);
      prices.set(id, formed);
      this.prices.set(id, formed);
    }
    return rules.map((rule) => PricingRuleDto.from(rule, prices.get(rule.id) as RulePricesDto));
  }

  /**
   * Adds a rule and ends the model's open rule where the new one begins.
   *
   * @throws ValidationError when it has no price, would begin in the past or end before it begins; PricingOverlap
   */
  async create(
    caller: Author,
    request: CreatePricingRuleDto,
    key: string | null,
  ): Promise<Once<PricingRuleDto>> {
    const once = idempotencyOf(idempotencyScope(caller), 'price', key, request);
    try {
      return await this.changes.once(PRICING, once, (manager) => addRule(manager, caller, request));
    } catch (error) {
      // 23P01: the exclusion constraint has seen an overlap, perhaps with a rule made at the same moment.
      if (error instanceof QueryFailedError && postgresError(error).code === '23P01')
        throw new PricingOverlap();
      throw error;
    }
  }

  /**
   * Takes a rule out of force: one that has not begun is withdrawn, the current one ends now.
   *
   * @throws PricingRuleNotFound, PricingRuleBuiltIn, PricingRuleEnded
   */
  async remove(caller: Author, id: number): Promise<void> {
    await this.changes.transaction(PRICING, async (manager) => {
      const rule = await rulesLeft(manager).andWhere({ id }).getOne();
      if (rule === null) throw new PricingRuleNotFound();
      const { modelId, source } = rule;
      if (source !== 'rule') throw new PricingRuleBuiltIn();
      await lockModel(manager, modelId);
      // The time after the wait: the change that was waited for may have ended the rule.
      const now = await databaseTime(manager);
      const ended = await manager
        .createQueryBuilder()
        .update(PricingRule)
        .set({ effectiveTo: now, supersededBy: null })
        .where('id = :id AND effective_from < :now AND (effective_to IS NULL OR effective_to > :now)', {
          id,
          now,
        })
        .execute();
      const hasBegun = ended.affected === 1;
      if (!hasBegun && !(await withdraw(manager, id, modelId, now))) throw new PricingRuleEnded();
      await noteActivity(manager, caller, {
        action: hasBegun ? 'price.ended' : 'price.removed',
        subject: modelId,
        before: described(rule),
        ...(hasBegun && { after: { ...described(rule), effectiveTo: now } }),
      });
    });
  }
}

/**
 * Takes back a rule that has not begun. The rule it had ended goes on as if this one had never been: to the next rule, or
 * for ever.
 *
 * @returns false, and nothing is done, when the rule has begun
 */
async function withdraw(manager: EntityManager, id: number, modelId: string, now: Date): Promise<boolean> {
  const rule = await rulesLeft(manager)
    .andWhere({ id, effectiveFrom: MoreThanOrEqual(now) })
    .getOne();
  if (rule === null) return false;
  await manager.update(PricingRule, { id }, { effectiveTo: rule.effectiveFrom, supersededBy: null });
  const next = await rulesLeft(manager)
    .andWhere({ modelId, source: 'rule', effectiveFrom: MoreThan(rule.effectiveFrom) })
    .orderBy('rule.effectiveFrom')
    .getOne();
  await manager.update(
    PricingRule,
    { supersededBy: id },
    { effectiveTo: next?.effectiveFrom ?? null, supersededBy: next === null ? null : Number(next.id) },
  );
  return true;
}

const rulesLeft = (manager: EntityManager) =>
  manager.createQueryBuilder(PricingRule, 'rule').where(NOT_WITHDRAWN);

const described = (rule: PricingRule) => PricingRuleDto.from(rule, rulePrices(rule.components));

async function addRule(
  manager: EntityManager,
  caller: Author,
  request: CreatePricingRuleDto,
): Promise<PricingRuleDto> {
  const components = stored(componentsOf(request));
  await lockModel(manager, request.modelId);
  const effectiveFrom = await startOf(manager, request.effectiveFrom);
  const effectiveTo = request.effectiveTo === undefined ? null : new Date(request.effectiveTo);
  if (effectiveTo !== null && effectiveTo <= effectiveFrom) {
    // A beginning in the recent past has become now, and an end a moment ahead may have passed.
    throw new ValidationError([{ field: 'effectiveTo', message: PERIOD_PROBLEM }]);
  }
  const closed = await manager
    .createQueryBuilder()
    .update(PricingRule)
    .set({ effectiveTo: effectiveFrom })
    .where(
      `model_id = :modelId AND source = 'rule' AND effective_to IS NULL AND effective_from < :effectiveFrom`,
      {
        modelId: request.modelId,
        effectiveFrom,
      },
    )
    .returning('id')
    .execute();
  const { identifiers } = await manager.insert(PricingRule, {
    modelId: request.modelId,
    source: 'rule',
    components,
    effectiveFrom,
    effectiveTo,
    createdBy: caller.userId,
  });
  const id = Number(identifiers[0]?.id);
  const ended = (closed.raw as { id: string }[])[0];
  if (ended) await manager.update(PricingRule, { id: Number(ended.id) }, { supersededBy: id });
  const rule = await manager.findOneByOrFail(PricingRule, { id });
  const before = ended && (await manager.findOneByOrFail(PricingRule, { id: Number(ended.id) }));
  await noteActivity(manager, caller, {
    action: 'price.created',
    subject: rule.modelId,
    ...(before !== undefined && { before: described(before) }),
    after: described(rule),
  });
  return described(rule);
}

/** When the rule begins, by the database's clock. */
async function startOf(manager: EntityManager, effectiveFrom: string | undefined): Promise<Date> {
  const now = await databaseTime(manager);
  if (effectiveFrom === undefined) return now;
  const start = new Date(effectiveFrom);
  if (start.getTime() < now.getTime() - PAST_TOLERANCE_SECONDS * 1000) {
    throw new ValidationError([{ field: 'effectiveFrom', message: 'must not be in the past' }]);
  }
  return start > now ? start : now;
}
