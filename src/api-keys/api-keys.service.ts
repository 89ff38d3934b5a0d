import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, In, LessThan, Repository } from 'typeorm';
import { AccountsService } from '../accounts/accounts.service.js';
import { digestOf, GATEWAY_KEY_PREFIX, generateApiKey, hintOf } from '../auth/api-key.js';
import { type Caller, hasRole } from '../auth/caller.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { ApiKeyEnded, ApiKeyNotFound, TooManyApiKeys } from './api-keys.errors.js';
import type { CreateApiKeyDto, RotateApiKeyDto, UpdateApiKeyDto } from './dto/api-keys.requests.js';
import {
  ApiKeyDto,
  type ApiKeyPageDto,
  type CreatedApiKeyDto,
  type KeyBudget,
} from './dto/api-keys.responses.js';
import { ApiKey, type GatewaySettings } from './entities/api-key.entity.js';
import { DUE_NOW, GatewayKeysService, PENDING, REVOKED } from './gateway-keys.service.js';

const MAXIMUM_ACTIVE_KEYS = 1000;
const COUNTS = 'is_active AND (expires_at IS NULL OR expires_at > clock_timestamp())';
const IS_LIVE = `${COUNTS} AND coalesce(gateway_state, 'live') = 'live'`;

/** Users' keys for their programs. Rules in README.md beside this file. */
@Injectable()
export class ApiKeysService {
  constructor(
    private readonly accounts: AccountsService,
    @InjectRepository(ApiKey) private readonly keys: Repository<ApiKey>,
    private readonly gateway: GatewayKeysService,
  ) {}

  /**
   * Makes a key; its text is in this answer and nowhere afterwards.
   *
   * @throws TooManyApiKeys; what `GatewayKeysService.provision` throws, when the key is to work at the gateway
   */
  async create(caller: Caller, request: CreateApiKeyDto): Promise<CreatedApiKeyDto> {
    if (request.gateway !== undefined) this.gateway.requireConfigured();
    const created = await this.keys.manager.transaction(async (manager) => {
      await lockUser(manager, caller.userId);
      await requireRoom(manager, caller.userId);
      return insertKey(manager, {
        userId: caller.userId,
        name: request.name,
        permissions: request.permissions,
        expiresAt: toDate(request.expiresAt),
        creditLimit: request.creditLimit ?? null,
        budgetKeyId: null,
        gateway: request.gateway ?? null,
        gatewaySettings: request.gateway === undefined ? null : gatewaySettingsOf(request),
      });
    });
    if (created.gateway === null) return created;
    return this.gateway.provision(caller.userId, created, (manager) => redescribe(manager, caller, created));
  }

  /** A user's keys, newest first, also those that have ended. @throws AccountNotFound for a user never seen */
  async page(userId: string, { limit, cursor }: PageQueryDto): Promise<ApiKeyPageDto> {
    const before = decodeCursor(cursor);
    const keys = await this.keys.find({
      where: before === undefined ? { userId } : { userId, id: LessThan(before) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    if (keys.length === 0 && !(await this.accounts.exists(userId))) throw new AccountNotFound();
    const budgets = await budgetsOf(this.keys.manager, userId, keys);
    return toPage(keys, limit, (key) => ApiKeyDto.from(key, budgets.get(key.id) as KeyBudget));
  }

  /** @throws ApiKeyNotFound */
  async one(caller: Caller, id: number): Promise<ApiKeyDto> {
    return describe(this.keys.manager, await find(this.keys.manager, caller.userId, id));
  }

  /** Changes what is given; null takes the expiry or the limit away. @throws ApiKeyNotFound, ApiKeyEnded */
  async update(caller: Caller, id: number, request: UpdateApiKeyDto): Promise<ApiKeyDto> {
    const updated = await this.keys.manager.transaction(async (manager) => {
      const key = await findLive(manager, caller.userId, id);
      const { name = key.name, permissions = key.permissions, creditLimit } = request;
      const expiresAt = request.expiresAt === undefined ? key.expiresAt : toDate(request.expiresAt);
      const gatewayDueAt = request.expiresAt === undefined ? {} : { gatewayDueAt: () => DUE_NOW };
      const changes = { name, permissions, expiresAt, ...gatewayDueAt };
      await manager.update(ApiKey, { userId: caller.userId, id }, changes);
      if (creditLimit !== undefined) {
        const first = { userId: caller.userId, id: key.budgetKeyId ?? id };
        await manager.update(ApiKey, first, { creditLimit });
      }
      return describe(manager, await find(manager, caller.userId, id));
    });
    if (updated.gateway !== null && request.expiresAt !== undefined) await this.gateway.follow(id);
    return updated;
  }

  /**
   * Makes a successor with the same name, permissions, expiry and budget; the old key stops after the overlap. At the
   * gateway the successor comes first, so that a failure there leaves the old key as it was.
   *
   * @throws ApiKeyNotFound, ApiKeyEnded; what `GatewayKeysService.provision` throws
   */
  async rotate(caller: Caller, id: number, { overlapSeconds }: RotateApiKeyDto): Promise<CreatedApiKeyDto> {
    const successor = await this.keys.manager.transaction(async (manager) => {
      const old = await findLive(manager, caller.userId, id);
      if (old.gateway === null) await endAfter(manager, old, overlapSeconds);
      else this.gateway.requireConfigured();
      return insertKey(manager, {
        userId: caller.userId,
        name: old.name,
        permissions: old.permissions,
        expiresAt: old.expiresAt,
        creditLimit: null,
        budgetKeyId: old.budgetKeyId ?? old.id,
        gateway: old.gateway,
        gatewaySettings: old.gatewaySettings,
      });
    });
    if (successor.gateway === null) return successor;
    const live = await this.gateway.provision(caller.userId, successor, async (manager) => {
      await endAfter(manager, await findLive(manager, caller.userId, id), overlapSeconds);
      return redescribe(manager, caller, successor);
    });
    await this.gateway.follow(id);
    return live;
  }

  /** Ends a key at once, on every instance; again it changes nothing. An admin may end anyone's. @throws ApiKeyNotFound */
  async revoke(caller: Caller, id: number): Promise<void> {
    const revoked = this.keys
      .createQueryBuilder()
      .update()
      .set({
        isActive: false,
        revokedAt: () => 'coalesce(revoked_at, clock_timestamp())',
        ...REVOKED,
      })
      .where('id = :id', { id })
      .returning('gateway');
    if (!hasRole(caller.role, 'admin')) revoked.andWhere('user_id = :userId', { userId: caller.userId });
    const [key] = (await revoked.execute()).raw as { gateway: string | null }[];
    if (key === undefined) throw new ApiKeyNotFound();
    if (key.gateway !== null) await this.gateway.follow(id);
  }
}

interface NewKey {
  userId: string;
  name: string;
  permissions: ApiKey['permissions'];
  expiresAt: Date | null;
  creditLimit: number | null;
  budgetKeyId: number | null;
  gateway: ApiKey['gateway'];
  gatewaySettings: ApiKey['gatewaySettings'];
}

async function insertKey(manager: EntityManager, fields: NewKey): Promise<CreatedApiKeyDto> {
  const key = fields.gateway === null ? generateApiKey() : generateApiKey(GATEWAY_KEY_PREFIX);
  const { identifiers } = await manager.insert(ApiKey, {
    ...fields,
    ...(fields.gateway === null ? {} : PENDING),
    key: digestOf(key),
    keyHint: hintOf(key),
  });
  const id = Number(identifiers[0]?.id);
  return { ...(await describe(manager, await find(manager, fields.userId, id))), key };
}

/** Changes to one user's keys come one after the other. */
async function lockUser(manager: EntityManager, userId: string): Promise<void> {
  await manager.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`api-keys:${userId}`]);
}

async function requireRoom(manager: EntityManager, userId: string): Promise<void> {
  const live = await manager
    .createQueryBuilder(ApiKey, 'k')
    .where(`k.user_id = :userId AND ${COUNTS}`, { userId })
    .getCount();
  if (live >= MAXIMUM_ACTIVE_KEYS) throw new TooManyApiKeys(MAXIMUM_ACTIVE_KEYS);
}

/** Another user's key is not found, as one that does not exist. */
async function find(manager: EntityManager, userId: string, id: number): Promise<ApiKey> {
  const key = await manager.findOneBy(ApiKey, { userId, id });
  if (key === null) throw new ApiKeyNotFound();
  return key;
}

/** The key, which nobody else changes meanwhile, if it still works by the database's clock. */
async function findLive(manager: EntityManager, userId: string, id: number): Promise<ApiKey> {
  await lockUser(manager, userId);
  const key = await find(manager, userId, id);
  const live = await manager
    .createQueryBuilder(ApiKey, 'k')
    .where(`k.user_id = :userId AND k.id = :id AND ${IS_LIVE}`, { userId, id })
    .getExists();
  if (!live) throw new ApiKeyEnded();
  return key;
}

/** The key stops after so many seconds, or by its own expiry if that is sooner. */
async function endAfter(
  manager: EntityManager,
  { userId, id }: ApiKey,
  overlapSeconds: number,
): Promise<void> {
  await manager
    .createQueryBuilder()
    .update(ApiKey)
    .set({
      expiresAt: () => 'least(expires_at, clock_timestamp() + make_interval(secs => :overlapSeconds))',
      gatewayDueAt: () => DUE_NOW,
    })
    .where('user_id = :userId AND id = :id', { userId, id, overlapSeconds })
    .execute();
}

/** As it is by now. */
async function redescribe(
  manager: EntityManager,
  { userId }: Caller,
  { id, key }: CreatedApiKeyDto,
): Promise<CreatedApiKeyDto> {
  return { ...(await describe(manager, await find(manager, userId, id))), key };
}

async function describe(manager: EntityManager, key: ApiKey): Promise<ApiKeyDto> {
  return ApiKeyDto.from(key, (await budgetsOf(manager, key.userId, [key])).get(key.id) as KeyBudget);
}

/** What is counted for each key's line, by the id of the key. */
async function budgetsOf(
  manager: EntityManager,
  userId: string,
  keys: ApiKey[],
): Promise<Map<number, KeyBudget>> {
  const first = keys.map((key) => key.budgetKeyId ?? key.id);
  const budgets = await manager.findBy(ApiKey, { userId, id: In(first) });
  const byId = new Map(budgets.map((budget) => [budget.id, budget]));
  return new Map(keys.map((key) => [key.id, byId.get(key.budgetKeyId ?? key.id) as KeyBudget]));
}

function gatewaySettingsOf(request: CreateApiKeyDto): GatewaySettings {
  const { models = null, maxBudgetUsd = null, rpmLimit = null, tpmLimit = null } = request;
  return { models, maxBudgetUsd, rpmLimit, tpmLimit };
}

function toDate(time: string | null | undefined): Date | null {
  return time === undefined || time === null ? null : new Date(time);
}
