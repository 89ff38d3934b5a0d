import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import { AccountsService } from '../accounts/accounts.service.js';
import { digestOf, GATEWAY_KEY_PREFIX, generateApiKey, hintOf } from '../common/http/api-key-format.js';
import type { Author } from '../common/http/author.js';
import { type Caller, hasRole, idempotencyScope, seenUser } from '../common/http/caller.js';
import type { Originated } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import { type AccountRequest, Database, operation, type Operation } from '../common/database/database.js';
import {
  AccountNotFound,
  IdempotencyMismatch,
  unknownOutcome,
  ValidationError,
} from '../common/errors/service-error.js';
import type { Idempotency } from '../common/http/idempotency.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { SecretAnswers, type SecretIdempotency } from '../common/http/secret-answers.js';
import { ApiKeyEnded, ApiKeyNotFound, ApiKeyRotated, TooManyApiKeys } from './api-keys.errors.js';
import type { CreateApiKeyDto, RotateApiKeyDto, UpdateApiKeyDto } from './dto/api-keys.requests.js';
import {
  type ApiKeyAnswer,
  ApiKeyDto,
  type ApiKeyPageDto,
  type CreatedApiKeyDto,
  type DescribedKey,
  type KeyBudget,
} from './dto/api-keys.responses.js';
import { ApiKey, type GatewaySettings } from './entities/api-key.entity.js';
import { GatewayKeysService } from './gateway-keys.service.js';

/** What the operations return. `sealed`: the key, for a repeated request. */
type Answer =
  | ({ outcome: 'ok'; replayed?: true; sealed?: string | null } & ApiKeyAnswer)
  | {
      outcome:
        | 'not_found'
        | 'ended'
        | 'rotated'
        | 'not_a_member'
        | 'past_expiry'
        | 'beyond_overlap'
        | 'too_many'
        | 'idempotency_mismatch';
    };

/** What they all name: the account, and where the answer has a key, how to return it again. */
type KeyRequest = AccountRequest & Originated & Partial<Idempotency> & { sealed?: string | null };

const CREATE = operation<
  KeyRequest & {
    userId: string;
    digest: string;
    hint: string;
    name: string;
    permissions: string[];
    expiresAt: string | null;
    creditLimit: number | null;
    gateway: string | null;
    settings: GatewaySettings | null;
  },
  Answer
>('api_key_create');
const ROTATE = operation<
  KeyRequest & { id: number; digest: string; hint: string; overlapSeconds: number },
  Answer
>('api_key_rotate');
const OPEN = operation<
  KeyRequest & { id: number; oldId: number | null; overlapSeconds: number | null },
  Answer
>('api_key_open');
const UPDATE = operation<KeyRequest & { id: number; changes: object }, Answer>('api_key_update');
const REVOKE = operation<KeyRequest & { id: number; userId?: string | undefined }, Answer>('api_key_revoke');

/** Without TypeORM's entities: they took 6 of the 10 ms of processor time of a page of 200. */
const PAGE = {
  name: 'api_keys_page',
  text: `SELECT k.id::float8, k.account_id AS "accountId", k.user_id AS "userId", k.name, k.key_hint AS "keyHint", k.permissions, k.created_at AS "createdAt",
                k.expires_at AS "expiresAt", k.last_used AS "lastUsed", k.is_active AS "isActive",
                extract(epoch FROM k.expires_at - clock_timestamp())::float8 AS "secondsLeft",
                k.gateway, k.gateway_state AS "gatewayState", k.gateway_settings AS "gatewaySettings",
                b.credit_limit::float8 AS "creditLimit", b.credits_used::float8 AS "creditsUsed",
                b.credits_held::float8 AS "creditsHeld"
           FROM (SELECT * FROM api_keys
                  WHERE account_id = $1 AND ($4::varchar IS NULL OR user_id = $4)
                    AND (created_at, id) < (
                      coalesce((SELECT created_at FROM api_keys WHERE account_id = $1 AND id = $2), 'infinity'), $2)
                  ORDER BY created_at DESC, id DESC LIMIT $3) k
          CROSS JOIN LATERAL api_key_budget(k.account_id, coalesce(k.budget_key_id, k.id)) b
          ORDER BY k.created_at DESC, k.id DESC`,
};

/** Of any account: an admin names the key alone. */
const OWNER = { name: 'api_key_owner', text: 'SELECT account_id FROM api_keys WHERE id = $1' };

/** Users' keys for their programs. Rules in README.md beside this file. */
@Injectable()
export class ApiKeysService {
  constructor(
    private readonly accounts: AccountsService,
    @InjectRepository(ApiKey) private readonly keys: Repository<ApiKey>,
    private readonly gateway: GatewayKeysService,
    private readonly changes: Changes,
    private readonly database: Database,
    private readonly secrets: SecretAnswers,
  ) {}

  /**
   * Makes a key; its text is in this answer and nowhere afterwards.
   *
   * @throws AccountNotFound, TooManyApiKeys, IdempotencyMismatch; what `GatewayKeysService.provision` throws, when the key is to work at
   *   the gateway
   */
  async create(
    caller: Author,
    request: CreateApiKeyDto,
    idempotencyKey: string | null,
  ): Promise<Once<CreatedApiKeyDto>> {
    const { gateway = null } = request;
    if (gateway !== null) this.gateway.requireFor(caller.userId, gateway);
    if (caller.kind === 'internal' && !(await this.accounts.exists(caller.accountId)))
      throw new AccountNotFound();
    const once = this.secrets.idempotency(idempotencyScope(caller), 'api-key', idempotencyKey, request);
    const key = generateApiKey(gateway === null ? undefined : GATEWAY_KEY_PREFIX);
    const created = await this.change(CREATE, {
      accountId: caller.accountId,
      origin: caller.origin,
      userId: caller.userId,
      digest: digestOf(key),
      hint: hintOf(key),
      name: request.name,
      permissions: request.permissions,
      expiresAt: utcTime(request.expiresAt) ?? null,
      creditLimit: request.creditLimit ?? null,
      gateway,
      settings: gateway === null ? null : gatewaySettingsOf(request),
      ...remembering(once, key),
    });
    return this.opened(caller, show(created, key, once), once, null);
  }

  /**
   * An account's keys, newest first, also those that have ended.
   *
   * @param userId only those that this member has made
   * @throws AccountNotFound
   */
  async page(accountId: string, { limit, cursor }: PageQueryDto, userId?: string): Promise<ApiKeyPageDto> {
    const before = decodeCursor(cursor) ?? Number.MAX_SAFE_INTEGER;
    const values = [accountId, before, limit + 1, userId ?? null];
    const keys = await this.database.report<DescribedKey & KeyBudget>(PAGE, values);
    if (keys.length === 0 && !(await this.accounts.exists(accountId))) throw new AccountNotFound();
    return toPage(keys, limit, (key) => ApiKeyDto.from(key, key));
  }

  /** @throws ApiKeyNotFound */
  async one(caller: Caller, id: number): Promise<ApiKeyDto> {
    return describe(this.keys.manager, await find(this.keys.manager, id, seenBy(caller)));
  }

  /** Changes what is given; null takes the expiry or the limit away. @throws ApiKeyNotFound, ApiKeyEnded */
  async update(caller: Author, id: number, request: UpdateApiKeyDto): Promise<ApiKeyDto> {
    const { name, permissions, creditLimit } = request;
    const expiresAt = utcTime(request.expiresAt);
    const changes = { name, permissions, creditLimit, expiresAt };
    await find(this.keys.manager, id, managedBy(caller));
    const updated = ApiKeyDto.fromAnswer(
      await this.change(UPDATE, { accountId: caller.accountId, origin: caller.origin, id, changes }),
    );
    const changesBounds = expiresAt !== undefined || creditLimit !== undefined;
    if (updated.gateway !== null && changesBounds) await this.gateway.follow(caller.accountId, id);
    return updated;
  }

  /**
   * Makes a successor with the same name, permissions, expiry and budget; the old key stops after the overlap. At the
   * gateway the successor comes first, so that a failure there leaves the old key as it was. Only for the user who made the
   * key: the successor acts for that user.
   *
   * @throws AccountNotFound, ApiKeyNotFound, ApiKeyEnded, ApiKeyRotated, TooManyApiKeys, IdempotencyMismatch; what `GatewayKeysService.provision` throws
   */
  async rotate(
    caller: Author,
    id: number,
    { overlapSeconds }: RotateApiKeyDto,
    idempotencyKey: string | null,
  ): Promise<Once<CreatedApiKeyDto>> {
    const { accountId, userId } = caller;
    const { gateway } = await find(this.keys.manager, id, { accountId, userId });
    if (gateway !== null) this.gateway.requireFor(userId, gateway);
    const content = { id, overlapSeconds };
    const once = this.secrets.idempotency(
      idempotencyScope(caller),
      'api-key-rotation',
      idempotencyKey,
      content,
    );
    const key = generateApiKey(gateway === null ? undefined : GATEWAY_KEY_PREFIX);
    const rotated = await this.change(ROTATE, {
      accountId,
      origin: caller.origin,
      id,
      digest: digestOf(key),
      hint: hintOf(key),
      overlapSeconds,
      ...remembering(once, key),
    });
    const successor = show(rotated, key, once);
    const live = await this.opened(caller, successor, once, content);
    if (gateway !== null && !live.replayed) await this.gateway.follow(accountId, id);
    return live;
  }

  /** Ends a key at once, on every instance; again it changes nothing. An admin may end anyone's. @throws ApiKeyNotFound */
  async revoke(caller: Author, id: number): Promise<void> {
    let { accountId, userId }: WhoseKeys = managedBy(caller);
    if (hasRole(caller.role, 'admin')) {
      const owner = await this.database.row<{ account_id: string }>(OWNER, [id]);
      if (owner === undefined) throw new ApiKeyNotFound();
      accountId = owner.account_id;
      userId = undefined;
    }
    const { origin } = caller;
    const revoked = await this.change(REVOKE, { accountId, origin, id, userId });
    if (revoked.gateway !== null) await this.gateway.follow(accountId, id);
  }

  /** A new key, live at its gateway too, if it has one. */
  private opened(
    { accountId, origin }: Author,
    created: Once<CreatedApiKeyDto>,
    once: SecretIdempotency,
    old: { id: number; overlapSeconds: number } | null,
  ): Promise<Once<CreatedApiKeyDto>> | Once<CreatedApiKeyDto> {
    const { id, key, gateway } = created.answer;
    if (gateway === null || created.replayed) return created;
    return this.gateway.provision(accountId, created.answer, once.idempotencyKey !== null, async () => {
      const opened = await this.change(OPEN, {
        accountId,
        origin,
        id,
        oldId: old?.id ?? null,
        overlapSeconds: old?.overlapSeconds ?? null,
        ...remembering(once, key),
      });
      return show(opened, key, once);
    });
  }

  /** Changes to one account's keys come one after the other. */
  private async change<Request extends AccountRequest>(
    change: Operation<Request, Answer>,
    request: Request,
  ): Promise<Answer & { outcome: 'ok' }> {
    const answer = await this.changes.call(`api-keys:${request.accountId}`, change, request);
    switch (answer.outcome) {
      case 'ok':
        return answer;
      case 'not_found':
        throw new ApiKeyNotFound();
      case 'not_a_member':
        throw new AccountNotFound();
      case 'ended':
        throw new ApiKeyEnded();
      case 'rotated':
        throw new ApiKeyRotated();
      case 'past_expiry':
        throw new ValidationError([{ field: 'expiresAt', message: 'must be in the future' }]);
      case 'beyond_overlap':
        throw new ValidationError([
          { field: 'expiresAt', message: 'must not be later: the key has a successor' },
        ]);
      case 'too_many':
        throw new TooManyApiKeys();
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw unknownOutcome(answer);
    }
  }
}

/** A row that was revoked, now or before. */
/** What lets an operation return its key again to the same request. */
function remembering(once: SecretIdempotency, key: string): Idempotency & { sealed: string | null } {
  const { callerId, idempotencyKey, requestHash } = once;
  return { callerId, idempotencyKey, requestHash, sealed: once.seal(key) };
}

/** The answer to the owner: with this key, or with the one of the first answer. */
function show(
  answer: Answer & { outcome: 'ok' },
  key: string,
  once: SecretIdempotency,
): Once<CreatedApiKeyDto> {
  const { replayed = false, sealed } = answer;
  return {
    answer: { ...ApiKeyDto.fromAnswer(answer), key: replayed ? once.open(sealed as string) : key },
    replayed,
  };
}

interface WhoseKeys {
  accountId: string;
  /** Only those that this user has made. */
  userId?: string;
}

/** Of an organisation, a plain member sees only their own. */
function seenBy(caller: Caller): WhoseKeys {
  const userId = seenUser(caller);
  return { accountId: caller.accountId, ...(userId !== undefined && { userId }) };
}

/** Owners and admins of an organisation change and revoke everyone's keys, others their own. */
function managedBy({ accountId, userId, manages }: Caller): WhoseKeys {
  return { accountId, ...(manages !== true && { userId }) };
}

/** Another's key is not found, as one that does not exist. */
async function find(manager: EntityManager, id: number, whose: WhoseKeys): Promise<ApiKey> {
  const key = await manager.findOneBy(ApiKey, { ...whose, id });
  if (key === null) throw new ApiKeyNotFound();
  return key;
}

async function describe(manager: EntityManager, key: ApiKey): Promise<ApiKeyDto> {
  const line = key.budgetKeyId ?? key.id;
  const [budget] = await manager.query<[KeyBudget]>(
    `SELECT credit_limit::float8 AS "creditLimit", credits_used::float8 AS "creditsUsed",
            credits_held::float8 AS "creditsHeld" FROM api_key_budget($1, $2)`,
    [key.accountId, line],
  );
  return ApiKeyDto.from(key, budget);
}

function gatewaySettingsOf(request: CreateApiKeyDto): GatewaySettings {
  const { models = null, maxBudgetUsd = null, rpmLimit = null, tpmLimit = null } = request;
  return { models, maxBudgetUsd, rpmLimit, tpmLimit };
}

/** As PostgreSQL reads it: it takes fewer zones than ISO 8601 has. */
function utcTime<Time extends string | null | undefined>(time: Time): Time {
  return (typeof time === 'string' ? new Date(time).toISOString() : time) as Time;
}
