import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, LessThan, Repository } from 'typeorm';
import { type Author } from '../common/http/author.js';
import { idempotencyScope } from '../common/http/caller.js';
import { noteActivity } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import { Database } from '../common/database/database.js';
import { SecretAnswers, type SecretIdempotency } from '../common/http/secret-answers.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { CreateWebhookDto, RotateWebhookSecretDto, UpdateWebhookDto } from './dto/webhooks.requests.js';
import {
  type CreatedWebhookDto,
  MOST_COUNTED,
  type TestResultDto,
  type WebhookActivity,
  WebhookDto,
  type WebhookPageDto,
} from './dto/webhooks.responses.js';
import { WebhookEndpoint } from './entities/webhook-endpoint.entity.js';
import { TEST_TYPE } from './event-types.js';
import { MAXIMUM_ENDPOINTS, TargetRefused, TooManyWebhooks, WebhookNotFound } from './events.errors.js';
import { WebhookDeliverer } from './webhook-deliverer.js';
import { WebhookSecrets } from './webhook-secrets.js';
import { targetProblem } from './webhook-target.js';

const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints', 0))`;
const counted = (status: string) =>
  `(SELECT count(*)::integer FROM (SELECT FROM webhook_deliveries d
      WHERE d.endpoint_id = e.id AND d.status = '${status}' LIMIT ${MOST_COUNTED}) AS counted)`;
const ACTIVITY = `SELECT e.id, t.last_attempt_at AS "lastAttemptAt", t.last_status AS "lastStatus",
                         t.last_error AS "lastError", ${counted('pending')} AS "waitingDeliveries",
                         ${counted('dead')} AS "deadDeliveries"
                    FROM unnest($1::bigint[]) AS e (id) LEFT JOIN LATERAL (
                      SELECT last_attempt_at, last_status, last_error FROM webhook_deliveries d
                       WHERE d.endpoint_id = e.id AND d.last_attempt_at IS NOT NULL
                       ORDER BY d.last_attempt_at DESC LIMIT 1) t ON TRUE`;
const GO_ON = { name: 'webhook_go_on', text: 'SELECT webhook_go_on($1, $2) AS had_any' };
/** Users, or deliveries, of an endpoint that one statement deletes or makes due. */
const ROWS_AT_ONCE = 10_000;

/** Endpoints that events are delivered to. Rules in README.md beside this file. */
@Injectable()
export class WebhooksService {
  private readonly logger = new Logger(WebhooksService.name);

  constructor(
    @InjectRepository(WebhookEndpoint) private readonly endpoints: Repository<WebhookEndpoint>,
    private readonly database: Database,
    private readonly secrets: WebhookSecrets,
    private readonly changes: Changes,
    private readonly secretAnswers: SecretAnswers,
    private readonly deliverer: WebhookDeliverer,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** Makes an endpoint; its secret is in this answer and in none afterwards. @throws TargetRefused, TooManyWebhooks */
  create(caller: Author, request: CreateWebhookDto, key: string | null): Promise<Once<CreatedWebhookDto>> {
    this.requireTarget(request.url);
    const once = this.secretAnswers.idempotency(idempotencyScope(caller), 'webhook', key, request);
    return this.withSecret(once, async (manager, secret) => {
      await manager.query(LOCK);
      if ((await manager.count(WebhookEndpoint)) >= MAXIMUM_ENDPOINTS) throw new TooManyWebhooks();
      const { identifiers } = await manager.insert(WebhookEndpoint, {
        url: request.url,
        eventTypes: request.eventTypes ?? null,
        description: request.description ?? null,
        isActive: request.isActive,
        secret: this.secrets.seal(secret),
        createdBy: caller.userId,
      });
      const made = await find(manager, Number(identifiers[0]?.id));
      await noteActivity(manager, caller, {
        action: 'webhook.created',
        subject: made.id,
        after: settingsOf(made),
      });
      return made;
    });
  }

  /** Newest first. */
  async page({ limit, cursor }: PageQueryDto): Promise<WebhookPageDto> {
    const before = decodeCursor(cursor);
    const endpoints = await this.endpoints.find({
      where: before === undefined ? {} : { id: LessThan(before) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    const described = await describe(this.endpoints.manager, endpoints);
    return toPage(described, limit, (endpoint) => endpoint);
  }

  /** @throws WebhookNotFound */
  one(id: number): Promise<WebhookDto> {
    return find(this.endpoints.manager, id);
  }

  /**
   * Changes what is given. Switched on again, or at another URL, an endpoint gets what it still had to get.
   *
   * @throws WebhookNotFound, TargetRefused
   */
  async update(caller: Author, id: number, request: UpdateWebhookDto): Promise<WebhookDto> {
    if (request.url !== undefined) this.requireTarget(request.url);
    const { url, eventTypes, description, isActive } = request;
    const wasSwitched =
      isActive === undefined ? {} : { disabledAt: null, disabledReason: null, resumingAfter: null };
    const resumes = isActive === true || url !== undefined;
    const updated = await this.endpoints.manager.transaction(async (manager) => {
      const before = await manager.findOne(WebhookEndpoint, {
        where: { id },
        lock: { mode: 'for_no_key_update' },
      });
      if (before === null) throw new WebhookNotFound();
      await manager.update(
        WebhookEndpoint,
        { id },
        {
          ...(url === undefined ? {} : { url }),
          ...(eventTypes === undefined ? {} : { eventTypes }),
          ...(description === undefined ? {} : { description }),
          ...(isActive === undefined ? {} : { isActive }),
          ...wasSwitched,
          ...(resumes ? { failingSince: null, resumingAfter: '' } : {}),
          updatedAt: () => 'clock_timestamp()',
        },
      );
      const after = await find(manager, id);
      await noteActivity(manager, caller, {
        action: 'webhook.changed',
        subject: id,
        before: settingsOf(before),
        after: settingsOf(after),
      });
      return after;
    });
    if (resumes) await this.goOn(id);
    return updated;
  }

  /** What it still had to get goes with it. @throws WebhookNotFound */
  async delete(caller: Author, id: number): Promise<void> {
    await this.endpoints.manager.transaction(async (manager) => {
      const endpoint = await manager.findOne(WebhookEndpoint, {
        where: { id },
        lock: { mode: 'for_no_key_update' },
      });
      if (endpoint === null) throw new WebhookNotFound();
      await manager.update(
        WebhookEndpoint,
        { id },
        { isActive: false, deletedAt: () => 'clock_timestamp()' },
      );
      await noteActivity(manager, caller, {
        action: 'webhook.deleted',
        subject: id,
        before: settingsOf(endpoint),
      });
    });
    await this.goOn(id);
  }

  /** Goes on with what deletions, and endpoints that were switched on again, have left to do. */
  async sweep(stopped?: AbortSignal): Promise<void> {
    while (!stopped?.aborted && (await this.doPart(null)));
  }

  /** A new secret; until the overlap has passed, messages bear signatures by both. @throws WebhookNotFound */
  rotateSecret(
    caller: Author,
    id: number,
    { overlapSeconds }: RotateWebhookSecretDto,
    key: string | null,
  ): Promise<Once<CreatedWebhookDto>> {
    const content = { id, overlapSeconds };
    const once = this.secretAnswers.idempotency(idempotencyScope(caller), 'webhook-secret', key, content);
    return this.withSecret(once, async (manager, secret) => {
      const { affected } = await manager
        .createQueryBuilder()
        .update(WebhookEndpoint)
        .set({
          secret: this.secrets.seal(secret),
          previousSecret: () => (overlapSeconds > 0 ? 'secret' : 'NULL'),
          previousSecretUntil: () =>
            overlapSeconds > 0 ? 'clock_timestamp() + make_interval(secs => :overlapSeconds)' : 'NULL',
          updatedAt: () => 'clock_timestamp()',
        })
        .where('id = :id', { id, overlapSeconds })
        .execute();
      if (!affected) throw new WebhookNotFound();
      const after = { overlapSeconds };
      await noteActivity(manager, caller, { action: 'webhook.secret_rotated', subject: id, after });
      return find(manager, id);
    });
  }

  /** Sends a message at once, also to an endpoint that is switched off. Nothing is kept of it. @throws WebhookNotFound */
  async test(id: number): Promise<TestResultDto> {
    const endpoint = await this.endpoints.findOne({
      where: { id },
      select: { id: true, url: true, secret: true, previousSecret: true, previousSecretUntil: true },
    });
    if (endpoint === null) throw new WebhookNotFound();
    const body = JSON.stringify({
      id: 0,
      type: TEST_TYPE,
      accountId: null,
      userId: null,
      occurredAt: new Date().toISOString(),
      data: { endpointId: id },
    });
    const { url, secret, previousSecret, previousSecretUntil } = endpoint;
    const isOverlap = previousSecretUntil !== null && previousSecretUntil.getTime() > Date.now();
    const secrets = isOverlap && previousSecret !== null ? [secret, previousSecret] : [secret];
    const attempt = await this.deliverer.sendTo({ url, secrets }, { id: `test_${randomUUID()}`, body });
    const { isDelivered, status, error, milliseconds } = attempt;
    return { isDelivered, status, error, milliseconds };
  }

  /** The first part, which is all of it for most endpoints. It never fails: what is not done now, the sweeper does. */
  private async goOn(id: number): Promise<void> {
    try {
      await this.doPart(id);
    } catch (error) {
      this.logger.warn(`Webhook ${id} is left to the sweeper: ${(error as Error).message}`);
    }
  }

  /** Whether there was anything to do. */
  private async doPart(id: number | null): Promise<boolean> {
    const row = await this.database.row<{ had_any: boolean }>(GO_ON, [id, ROWS_AT_ONCE]);
    return row?.had_any === true;
  }

  /** A change with a new secret, which its answer shows; remembered, it is sealed. */
  private async withSecret(
    once: SecretIdempotency,
    change: (manager: EntityManager, secret: string) => Promise<WebhookDto>,
  ): Promise<Once<CreatedWebhookDto>> {
    const secret = this.secrets.generate();
    const { answer, replayed } = await this.changes.once('webhook_endpoints', once, async (manager) => ({
      endpoint: await change(manager, secret),
      sealed: once.seal(secret),
    }));
    const shown = replayed ? once.open(answer.sealed as string) : secret;
    return { answer: { ...answer.endpoint, secret: shown }, replayed };
  }

  private requireTarget(url: string): void {
    const problem = targetProblem(url, this.config.webhooks);
    if (problem !== undefined) throw new TargetRefused(problem);
  }
}

/** What the activity log keeps of an endpoint: of its URL, which may have a secret in it, only the server. */
function settingsOf({
  url,
  eventTypes,
  description,
  isActive,
}: Pick<WebhookEndpoint, 'url' | 'eventTypes' | 'description' | 'isActive'>) {
  return { url: `${new URL(url).origin}/…`, eventTypes, description, isActive };
}

async function find(manager: EntityManager, id: number): Promise<WebhookDto> {
  const endpoint = await manager.findOneBy(WebhookEndpoint, { id });
  if (endpoint === null) throw new WebhookNotFound();
  const [described] = await describe(manager, [endpoint]);
  return described as WebhookDto;
}

async function describe(manager: EntityManager, endpoints: WebhookEndpoint[]): Promise<WebhookDto[]> {
  const ids = endpoints.map(({ id }) => id);
  const rows = await manager.query<(WebhookActivity & { id: string })[]>(ACTIVITY, [ids]);
  const activities = new Map(rows.map((row) => [Number(row.id), row]));
  return endpoints.map((endpoint) =>
    WebhookDto.from(endpoint, activities.get(endpoint.id) as WebhookActivity),
  );
}
