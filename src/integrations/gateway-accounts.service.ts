import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, IsNull, MoreThan, Repository } from 'typeorm';
import { noteActivity } from '../common/database/activity.js';
import { Changes } from '../common/database/changes.js';
import { ValidationError } from '../common/errors/service-error.js';
import type { Author } from '../common/http/author.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import {
  GatewayAccountDto,
  type GatewayAccountPageDto,
  type SetGatewayAccountDto,
} from './dto/gateway-accounts.dto.js';
import { GatewayAccount } from './entities/gateway-account.entity.js';
import type { Gateway } from './gateway.js';
import { GatewayAccountNotFound } from './integrations.errors.js';

/** One change after the other, in this process and on all instances. */
const TURN = 'gateway-accounts';
const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended('${TURN}', 0))`;
const ORGANISATION = 'SELECT 1 FROM organisations WHERE account_id = $1';
/** A unit that is deleted at the same time waits, and then finds what was set for it. */
const UNIT_STAYS = 'SELECT gateway_unit_stays($1, $2) AS stays';
/** The last statement of each change: it waits for charges that have found a payer before. */
const CHANGED = 'UPDATE gateways SET version = version + 1 WHERE name = $1';
const NOW = () => 'clock_now()';

/** Which organisations pay for the teams and organizations of gateways. Rules in README.md beside this file. */
@Injectable()
export class GatewayAccountsService {
  constructor(
    @InjectRepository(GatewayAccount) private readonly accounts: Repository<GatewayAccount>,
    private readonly changes: Changes,
  ) {}

  /** Those of a gateway that count, in the order in which they were set. */
  async page({ name }: Gateway, { limit, cursor }: PageQueryDto): Promise<GatewayAccountPageDto> {
    const rows = await this.accounts.find({
      where: { gateway: name, endedAt: IsNull(), id: MoreThan(decodeCursor(cursor) ?? 0) },
      order: { id: 'ASC' },
      take: limit + 1,
    });
    return toPage(rows, limit, (row) => GatewayAccountDto.from(row));
  }

  /** Takes the place of what was set for the same team or organization. @throws ValidationError */
  set(caller: Author, { name }: Gateway, request: SetGatewayAccountDto): Promise<GatewayAccountDto> {
    const { kind, externalId, accountId, unitId = null } = request;
    return this.changes.transaction(TURN, async (manager) => {
      await manager.query(LOCK);
      await requireOrganisation(manager, accountId, unitId);
      const group = { gateway: name, kind, externalId, endedAt: IsNull() };
      const before = await manager.findOneBy(GatewayAccount, group);
      if (before?.accountId === accountId && before.unitId === unitId) return GatewayAccountDto.from(before);
      if (before !== null) await manager.update(GatewayAccount, { id: before.id }, { endedAt: NOW });
      const setBy = caller.userId;
      await manager.insert(GatewayAccount, { gateway: name, kind, externalId, accountId, unitId, setBy });
      const made = await manager.findOneByOrFail(GatewayAccount, group);
      const after = GatewayAccountDto.from(made);
      await noteActivity(manager, caller, {
        accountId,
        action: 'gateway_account.set',
        subject: `${kind} ${externalId}`,
        ...(before !== null && { before: GatewayAccountDto.from(before) }),
        after,
      });
      await manager.query(CHANGED, [name]);
      return after;
    });
  }

  /** Calls of the team or organization are their users' own again. @throws GatewayAccountNotFound */
  async remove(caller: Author, { name }: Gateway, id: number): Promise<void> {
    await this.changes.transaction(TURN, async (manager) => {
      const set = { id, gateway: name, endedAt: IsNull() };
      const before = await manager.findOneBy(GatewayAccount, set);
      const { affected } = await manager.update(GatewayAccount, set, { endedAt: NOW });
      if (before === null || affected === 0) throw new GatewayAccountNotFound();
      await noteActivity(manager, caller, {
        accountId: before.accountId,
        action: 'gateway_account.deleted',
        subject: `${before.kind} ${before.externalId}`,
        before: GatewayAccountDto.from(before),
      });
      await manager.query(CHANGED, [name]);
    });
  }
}

async function requireOrganisation(manager: EntityManager, accountId: string, unitId: number | null) {
  const [organisation] = await manager.query<object[]>(ORGANISATION, [accountId]);
  if (organisation === undefined)
    throw new ValidationError([{ field: 'accountId', message: 'must be an organisation' }]);
  if (unitId === null) return;
  const [unit] = await manager.query<{ stays: boolean }[]>(UNIT_STAYS, [accountId, unitId]);
  if (unit?.stays !== true)
    throw new ValidationError([{ field: 'unitId', message: 'must be a unit of the organisation' }]);
}
