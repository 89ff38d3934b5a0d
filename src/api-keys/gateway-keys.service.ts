import { Inject, Injectable, Logger } from '@nestjs/common';
import { digestOf } from '../common/http/api-key-format.js';
import { Database, type Statement } from '../common/database/database.js';
import type { GatewayGroup, GatewayName } from '../common/gateways.js';
import { isUnavailable } from '../common/errors/database-errors.js';
import { inLanes } from '../common/lanes.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import {
  ApiKeyEnded,
  GatewayFailed,
  GatewayNotConfigured,
  GatewayRefused,
  GatewayUnavailable,
  GatewayUserReserved,
} from './api-keys.errors.js';
import type { CreatedApiKeyDto } from './dto/api-keys.responses.js';
import type { GatewayState } from './entities/api-key.entity.js';
import {
  describe,
  type GatewayOutcome,
  isRefusedRequest,
  KEY_GATEWAYS,
  type KeyGateway,
  type KeyGateways,
} from './key-gateway.js';

/** How long the gateway may still carry out a request that has timed out here: a creation, or a change of bounds. */
const LATE_SECONDS = 300;
/** The most keys of one gateway that a pass looks at. */
const MAXIMUM_PER_PASS = 100;
/** Keys looked at together, so that one slow answer does not hold up the rest. */
const LANES = 4;

/** A time that is read once: a cluster takes no clock beside the values of rows. */
const NOW = 'WITH now AS MATERIALIZED (SELECT clock_now() AS at)';

/**
 * What a key is at the gateway: whose, in which team or organization, and for how long it may still work, by the clock that
 * ends it here. Of those that are set for its organisation: that of its maker's unit or the nearest unit above, else one of
 * the whole organisation; a team before an organization; the one that was set first.
 */
const AT_GATEWAY = {
  name: 'gateway_key_at_gateway',
  text: `SELECT k.user_id, g.kind, g.external_id, extract(epoch FROM k.expires_at - clock_now())::float8 AS seconds
           FROM api_keys k
           LEFT JOIN members m ON m.account_id = k.account_id AND m.user_id = k.user_id
           LEFT JOIN units u ON u.account_id = m.account_id AND u.id = m.unit_id
           LEFT JOIN LATERAL (
             SELECT a.kind, a.external_id FROM gateway_accounts a
              WHERE a.account_id = k.account_id AND a.gateway = k.gateway AND a.ended_at IS NULL
                AND (a.unit_id IS NULL OR a.unit_id = ANY (u.path))
              ORDER BY coalesce(array_position(u.path, a.unit_id), 0) DESC, a.kind = 'team' DESC, a.id LIMIT 1) g ON TRUE
          WHERE k.account_id = $1 AND k.id = $2`,
};
const OPENING = {
  name: 'gateway_key_opening',
  text: `UPDATE api_keys SET gateway_state = 'opening'
          WHERE account_id = $1 AND id = $2 AND gateway_state = 'pending' RETURNING id`,
};
/** The key has not been shown to anyone, so it may end from any state. */
const GIVE_UP = {
  name: 'gateway_key_give_up',
  text: `${NOW}
         UPDATE api_keys
            SET gateway_state = $3::text, gateway_due_at = CASE WHEN $3::text <> 'ended' THEN now.at END,
                is_active = FALSE, revoked_at = now.at
           FROM now
          WHERE account_id = $1 AND id = $2 AND gateway_state IN ('pending', 'opening', 'live') RETURNING id`,
};
/** The gateway created the key after another request or the sweeper had given it up: end it there too. */
const CREATED_LATE = {
  name: 'gateway_key_created_late',
  text: `UPDATE api_keys SET gateway_state = 'ending', gateway_due_at = clock_now()
          WHERE account_id = $1 AND id = $2 AND gateway_state IN ('failed', 'ended')`,
};
const ENDED = {
  name: 'gateway_key_ended',
  text: `UPDATE api_keys SET gateway_state = 'ended', gateway_due_at = NULL
          WHERE account_id = $1 AND id = $2 AND gateway_state IN ('ending', 'failed')`,
};
/** Read after the claim: what changes from now on makes the key due again. */
const BOUNDS = {
  name: 'gateway_key_bounds',
  text: `SELECT k.gateway_settings ->> 'maxBudgetUsd' AS max_budget_usd, b.credit_limit::float8 AS credit_limit,
                extract(epoch FROM k.expires_at - clock_now())::float8 AS seconds_left
           FROM api_keys k
           CROSS JOIN LATERAL api_key_budget(k.account_id, coalesce(k.budget_key_id, k.id)) b
          WHERE k.account_id = $1 AND k.id = $2`,
};
/**
 * A key whose bounds were changed again meanwhile is due again since then, and stays so. While an earlier request may
 * still come ($4), it stays due as its claim has set it: what comes late is overwritten.
 */
const BOUNDS_SENT = {
  name: 'gateway_key_bounds_sent',
  text: `UPDATE api_keys
            SET gateway_due_at = CASE WHEN $4::timestamptz IS NULL THEN expires_at ELSE gateway_due_at END,
                gateway_attempts = CASE WHEN $4::timestamptz IS NULL THEN 0 ELSE gateway_attempts END,
                gateway_unsure_until = $4::timestamptz
          WHERE account_id = $1 AND id = $2 AND gateway_state = 'live' AND gateway_due_at = $3::timestamptz`,
};

/**
 * Takes one key in hand: its state says what is to be done at the gateway. No other instance is due to do it before that
 * can have failed. The pauses grow from 15 seconds to 5 minutes.
 */
function claim(name: string, which: string): Statement {
  return {
    name,
    // All that depends on the time is in the first part: a cluster returns only what needs no clock and no time zone.
    text: `WITH due AS MATERIALIZED (
             SELECT id, clock_now() AS now, clock_now() + make_interval(secs => ${LATE_SECONDS}) AS sure_at,
                    clock_now() + make_interval(secs => least(300, 15 * 2 ^ least(gateway_attempts, 5))) AS next_at,
                    CASE WHEN gateway_unsure_until > clock_now() THEN gateway_unsure_until::text END AS unsure_until,
                    created_at > clock_now() - make_interval(secs => ${LATE_SECONDS}) AS may_come_late
               FROM api_keys
              WHERE account_id = $1 AND id = $2 AND gateway = ANY($3::varchar[]) AND ${which}
           ), taken AS MATERIALIZED (SELECT *, next_at::text AS next_text FROM due)
           UPDATE api_keys k
              SET gateway_state = CASE WHEN k.gateway_state = 'pending' THEN 'failed'
                                       WHEN k.gateway_state = 'opening' THEN 'ending'
                                       WHEN k.gateway_state = 'live' AND k.expires_at <= taken.now
                                       THEN 'ending' ELSE k.gateway_state END,
                  is_active = k.is_active AND k.gateway_state NOT IN ('pending', 'opening'),
                  revoked_at = CASE WHEN k.gateway_state IN ('pending', 'opening') THEN taken.now
                                    ELSE k.revoked_at END,
                  gateway_attempts = k.gateway_attempts + 1,
                  gateway_unsure_until = taken.sure_at,
                  gateway_due_at = taken.next_at
             FROM taken WHERE k.account_id = $1 AND k.id = taken.id
        RETURNING k.account_id, k.id, k.key, k.gateway, k.gateway_state, taken.next_text AS gateway_due_at,
                  taken.unsure_until, taken.may_come_late`,
  };
}
/** Keys whose creation failed have never worked, so keys that may still work come before them. */
const DUE = {
  name: 'gateway_keys_due',
  text: `SELECT account_id, id FROM api_keys WHERE gateway_due_at <= clock_now() AND gateway = $1
          ORDER BY gateway_state = 'failed', gateway_due_at LIMIT $2`,
};
/** None where another instance has taken it meanwhile. */
const CLAIM_DUE = claim('gateway_keys_claim_due', 'gateway_due_at <= clock_now() FOR UPDATE SKIP LOCKED');
const CLAIM_ONE = claim(
  'gateway_keys_claim_one',
  `gateway_due_at IS NOT NULL AND gateway_state IN ('live', 'ending', 'failed') FOR UPDATE`,
);

interface DueKey {
  account_id: string;
  id: string;
}

interface ClaimedKey extends DueKey {
  key: string;
  gateway: GatewayName;
  gateway_state: GatewayState;
  gateway_due_at: string;
  /** Until then an earlier request may still be carried out; null: none can. */
  unsure_until: string | null;
  may_come_late: boolean;
}

interface AtGateway {
  user_id: string;
  kind: GatewayGroup['kind'] | null;
  external_id: string;
  seconds: number | null;
}

interface Bounds {
  max_budget_usd: string | null;
  credit_limit: number | null;
  seconds_left: number | null;
}

/** Keeps the keys at the gateways in step with ours. States and rules in README.md beside this file. */
@Injectable()
export class GatewayKeysService {
  private readonly logger = new Logger(GatewayKeysService.name);

  constructor(
    private readonly database: Database,
    @Inject(KEY_GATEWAYS) private readonly gateways: KeyGateways,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws GatewayNotConfigured */
  requireConfigured(name: GatewayName): KeyGateway {
    const gateway = this.gateways.get(name);
    if (gateway === undefined) throw new GatewayNotConfigured();
    return gateway;
  }

  /** @throws GatewayNotConfigured, GatewayUserReserved */
  requireFor(userId: string, name: GatewayName): void {
    if (this.requireConfigured(name).administratorId === userId) throw new GatewayUserReserved();
  }

  /**
   * Brings a `pending` key to life on both sides, or on neither. No connection is in use while the gateway is asked.
   *
   * @param finish makes the key live, once under its idempotency key; when it fails, the key does not come to life
   * @param isRepeatable whether a request that comes again finds what `finish` has done
   * @throws GatewayRefused, GatewayFailed, GatewayUnavailable; ApiKeyEnded when it was revoked meanwhile
   */
  async provision<Result extends { replayed: boolean }>(
    accountId: string,
    created: CreatedApiKeyDto,
    isRepeatable: boolean,
    finish: () => Promise<Result>,
  ): Promise<Result> {
    const { id, key } = created;
    const gateway = this.requireConfigured(created.gateway as GatewayName);
    const made = await this.generate(gateway, accountId, created);
    if (made.kind !== 'done') {
      const isCertain = made.kind === 'refused' || made.kind === 'unreached';
      this.logger.warn(`API key ${id} is not made: ${describe(made)}`);
      await this.giveUp(accountId, id, isCertain ? 'ended' : 'failed');
      throw isRefusedRequest(made) ? new GatewayRefused() : errorOf(made);
    }
    if ((await this.database.row(OPENING, [accountId, id])) === undefined) {
      await this.database.row(CREATED_LATE, [accountId, id]);
      await this.follow(accountId, id);
      throw new ApiKeyEnded();
    }
    try {
      const opened = await gateway.unblock(key);
      if (opened.kind !== 'done') {
        this.logger.warn(`API key ${id} is not opened: ${describe(opened)}`);
        throw errorOf(opened);
      }
      const result = await finish();
      // The same request was here at the same time, and its key is the one.
      if (result.replayed) await this.giveUp(accountId, id, 'ending');
      return result;
    } catch (error) {
      // It may be live, and the answer that a repeated request gets. If it is not, the sweeper finds it.
      if (!(isRepeatable && isUnavailable(error))) await this.giveUp(accountId, id, 'ending');
      throw error;
    }
  }

  /** Does at the gateway what a key's state asks for. It never fails: what cannot be done now, the sweeper does. */
  async follow(accountId: string, id: number): Promise<void> {
    try {
      const claimed = await this.database.row<ClaimedKey>(CLAIM_ONE, [
        accountId,
        id,
        [...this.gateways.keys()],
      ]);
      if (claimed !== undefined) await this.settle(claimed);
    } catch (error) {
      this.logger.warn(`API key ${id} is left to the sweeper: ${(error as Error).message}`);
    }
  }

  /** One pass over the keys that are due at each gateway. Answers how many were looked at. */
  async sweep(stopped?: AbortSignal): Promise<number> {
    let looked = 0;
    for (const name of this.gateways.keys()) looked += await this.sweepAt(name, stopped);
    return looked;
  }

  /** Until the gateway cannot be reached. */
  private async sweepAt(name: GatewayName, stopped: AbortSignal | undefined): Promise<number> {
    let looked = 0;
    let goesOn = true;
    const due = await this.database.rows<DueKey>(DUE, [name, MAXIMUM_PER_PASS]);
    await inLanes(LANES, due, async ({ account_id, id }) => {
      if (!goesOn || stopped?.aborted) return;
      const claimed = await this.database.row<ClaimedKey>(CLAIM_DUE, [account_id, id, [name]]);
      if (claimed === undefined) return;
      looked++;
      const { kind } = await this.settle(claimed);
      if (kind === 'unreached' || kind === 'unknown') goesOn = false;
    });
    return looked;
  }

  private async generate(
    gateway: KeyGateway,
    accountId: string,
    created: CreatedApiKeyDto,
  ): Promise<GatewayOutcome> {
    const { id, key, models, maxBudgetUsd, creditLimit, rpmLimit, tpmLimit } = created;
    const row = (await this.database.row<AtGateway>(AT_GATEWAY, [accountId, id])) as AtGateway;
    return gateway.generate({
      key,
      // Unique there, also when several installations of this service share it.
      alias: `accounting-${id}-${digestOf(key).slice(0, 12)}`,
      userId: row.user_id,
      group: row.kind === null ? null : { kind: row.kind, id: row.external_id },
      keyId: id,
      settings: { models, rpmLimit, tpmLimit },
      maxBudgetUsd: this.budgetOf(maxBudgetUsd, creditLimit),
      secondsLeft: row.seconds,
    });
  }

  /** The lower of what the owner asked for at the gateway and the line's limit here, in USD; null: neither. */
  private budgetOf(maxBudgetUsd: string | null, creditLimit: number | null): number | null {
    const asked = maxBudgetUsd === null ? Infinity : Number(maxBudgetUsd);
    const limit = creditLimit === null ? Infinity : creditLimit / this.config.creditsPerUsd;
    const lower = Math.min(asked, limit);
    return lower === Infinity ? null : lower;
  }

  /** Ends a key that has not been shown to anyone. If that fails too, it stays as it is until the sweeper finds it. */
  private async giveUp(accountId: string, id: number, state: GatewayState): Promise<void> {
    try {
      const isOurs = (await this.database.row(GIVE_UP, [accountId, id, state])) !== undefined;
      if (isOurs && state !== 'ended') await this.follow(accountId, id);
    } catch (error) {
      this.logger.warn(`API key ${id} is left to the sweeper: ${(error as Error).message}`);
    }
  }

  private async settle(key: ClaimedKey): Promise<GatewayOutcome> {
    const gateway = this.requireConfigured(key.gateway);
    const isLive = key.gateway_state === 'live';
    const outcome = isLive ? await this.sendBounds(gateway, key) : await gateway.remove(key.key);
    const { kind } = outcome;
    if (kind === 'unreached' || kind === 'unknown' || kind === 'refused') {
      this.logger.warn(`API key ${key.id} (${key.gateway_state}) is not settled: ${describe(outcome)}`);
    } else if (isLive) {
      if (kind === 'absent') this.logger.warn(`The gateway has no key for the live API key ${key.id}`);
      await this.database.row(BOUNDS_SENT, [key.account_id, key.id, key.gateway_due_at, key.unsure_until]);
    } else if (kind === 'done' || key.gateway_state === 'ending' || !key.may_come_late) {
      await this.database.row(ENDED, [key.account_id, key.id]);
    }
    return outcome;
  }

  private async sendBounds(gateway: KeyGateway, key: ClaimedKey): Promise<GatewayOutcome> {
    const bounds = (await this.database.row<Bounds>(BOUNDS, [key.account_id, key.id])) as Bounds;
    return gateway.bound(key.key, {
      secondsLeft: bounds.seconds_left,
      maxBudgetUsd: this.budgetOf(bounds.max_budget_usd, bounds.credit_limit),
    });
  }
}

function errorOf(outcome: GatewayOutcome): Error {
  const mayWorkLater = outcome.kind === 'unreached' || outcome.kind === 'unknown';
  return mayWorkLater ? new GatewayUnavailable() : new GatewayFailed();
}
