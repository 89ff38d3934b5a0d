import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, MoreThan, QueryFailedError, Repository } from 'typeorm';
import type { Author } from '../common/http/author.js';
import { idempotencyScope } from '../common/http/caller.js';
import { noteActivity } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import { postgresError } from '../common/errors/database-errors.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { AliasDto, type AliasPageDto, type CreateAliasDto } from './dto/aliases.dto.js';
import { PricingAlias } from './entities/pricing-alias.entity.js';
import { AliasExists, AliasNotFound } from './pricing.errors.js';
import { PRICING } from './pricing-locks.js';

/** Other names of models. A model with a rule of its own does not need one: the rule comes first. */
@Injectable()
export class AliasesService {
  constructor(
    @InjectRepository(PricingAlias) private readonly aliases: Repository<PricingAlias>,
    private readonly changes: Changes,
  ) {}

  /** In the order of their creation. */
  async list({ limit, cursor }: PageQueryDto): Promise<AliasPageDto> {
    const aliases = await this.aliases.find({
      where: { id: MoreThan(decodeCursor(cursor) ?? 0) },
      order: { id: 'ASC' },
      take: limit + 1,
    });
    return toPage(aliases, limit, (alias) => AliasDto.from(alias));
  }

  /** @throws AliasExists */
  async create(caller: Author, request: CreateAliasDto, key: string | null): Promise<Once<AliasDto>> {
    const once = idempotencyOf(idempotencyScope(caller), 'price-alias', key, request);
    try {
      return await this.changes.once(PRICING, once, (manager) => add(manager, caller, request));
    } catch (error) {
      if (error instanceof QueryFailedError && postgresError(error).code === '23505') throw new AliasExists();
      throw error;
    }
  }

  /** @throws AliasNotFound */
  async remove(caller: Author, id: number): Promise<void> {
    await this.changes.transaction(PRICING, async (manager) => {
      const alias = await manager.findOneBy(PricingAlias, { id });
      const { affected } = await manager.delete(PricingAlias, { id });
      if (alias === null || affected === 0) throw new AliasNotFound();
      const before = AliasDto.from(alias);
      await noteActivity(manager, caller, { action: 'price_alias.deleted', subject: alias.alias, before });
    });
  }
}

async function add(manager: EntityManager, caller: Author, request: CreateAliasDto): Promise<AliasDto> {
  const { identifiers } = await manager.insert(PricingAlias, {
    ...request,
    createdBy: caller.userId,
  });
  const made = await manager.findOneByOrFail(PricingAlias, {
    id: Number((identifiers[0] as { id: number }).id),
  });
  const after = AliasDto.from(made);
  await noteActivity(manager, caller, { action: 'price_alias.created', subject: made.alias, after });
  return after;
}
