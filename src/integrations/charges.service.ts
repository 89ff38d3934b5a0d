import { Inject, Injectable, Logger } from '@nestjs/common';
import { Metrics } from '../common/metrics/metrics.service.js';
import { Movements } from '../common/database/movements.js';
import { isFinalRefusal, postgresError } from '../common/errors/database-errors.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { GatewayName } from '../common/gateways.js';
import { callOf } from '../pricing/call.js';
import { GATEWAY_CHARGE } from '../usage/usage.operations.js';
import type { Call, Gateway } from './gateway.js';
import { inLanes } from '../common/lanes.js';
import { CallDirectory, type Payer } from './call-directory.js';

/** Accounts whose calls are charged at once. */
const LANES = 4;
/** Charges of one account under way at once: they go to the database together (`Movements`), in their order. */
const TOGETHER = 64;

export type Outcome =
  | { kind: 'accepted' | 'review' | 'duplicates'; accountId: string; usageId: number }
  | UnknownUser
  /** The database did not take it; trying again will not help. */
  | { kind: 'refused'; detail: string };

/** Who pays has changed since it was looked up. */
const PAYER_CHANGED = Symbol('payer changed');

/** There is no such user, or they are not a member of the organisation that is to pay. */
interface UnknownUser {
  kind: 'unknown_user';
  detail: string | null;
  /** The organisation, and the user who must become its member; null: the call waits for the user that the gateway names. */
  member: { accountId: string; userId: string | null } | null;
}

interface Charge extends Payer {
  call: Call;
  payerVersion: number;
  gateway: GatewayName;
  model: string;
  actor: string;
}

/** Charges calls to whom they belong, each once, however often and by however many instances it is tried. */
@Injectable()
export class ChargesService {
  private readonly logger = new Logger(ChargesService.name);

  constructor(
    private readonly directory: CallDirectory,
    private readonly movements: Movements,
    private readonly metrics: Metrics,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * What has become of each call.
   *
   * @throws any error but a final refusal of the database; what is charged by then stays so and is found when repeated
   */
  async charge(gateway: Gateway, calls: Call[]): Promise<Map<Call, Outcome>> {
    const outcomes = new Map<Call, Outcome>();
    for (let left = calls; left.length > 0; left = calls.filter((call) => !outcomes.has(call))) {
      await this.chargeSome(gateway, left, outcomes);
    }
    return outcomes;
  }

  /** All but those whose payer changes meanwhile. */
  private async chargeSome({ name }: Gateway, calls: Call[], outcomes: Map<Call, Outcome>): Promise<void> {
    const { version, chargedAs, payerOf, modelOf } = await this.directory.lookUp(name, calls);
    const byAccount = new Map<string, Charge[]>();
    for (const call of calls) {
      const charged = chargedAs(call);
      const payer = payerOf(call);
      if (charged !== undefined) outcomes.set(call, { kind: 'duplicates', ...charged });
      else if (payer === undefined || payer.userId === null) outcomes.set(call, unknownUser(payer));
      else {
        // As the ledger names who did it.
        const about = { call, payerVersion: version, gateway: name, model: modelOf(call) };
        const charge = { ...payer, ...about, actor: `service:${name}` };
        const others = byAccount.get(payer.accountId);
        if (others === undefined) byAccount.set(payer.accountId, [charge]);
        else others.push(charge);
      }
    }
    const chargeOne = async (charge: Charge) => {
      const outcome = await this.chargeOrRefuse(charge);
      if (outcome !== PAYER_CHANGED) outcomes.set(charge.call, outcome);
    };
    await inLanes(LANES, [...byAccount.values()], async (charges) => {
      const { first, repeated } = byRequestId(charges);
      await inLanes(TOGETHER, first, chargeOne);
      await inLanes(1, repeated, chargeOne);
    });
  }

  /** One event that the database chokes on must not keep the others from being charged. */
  private async chargeOrRefuse(charge: Charge): Promise<Outcome | typeof PAYER_CHANGED> {
    try {
      return await this.chargeOnce(charge);
    } catch (error) {
      if (!isFinalRefusal(error)) throw error;
      const code = postgresError(error).code ?? 'unknown';
      this.logger.error({ fingerprint: charge.call.fingerprint, code, cause: (error as Error).message });
      return { kind: 'refused', detail: `the database refused it (${code})` };
    }
  }

  /** A call under the id of another one is recorded too, but a person decides whether it is to be paid. */
  private async chargeOnce(charge: Charge): Promise<Outcome | typeof PAYER_CHANGED> {
    const { requestId, fallbackRequestId } = charge.call;
    const first = await this.attempt(charge, requestId, charge.call.billingStatus);
    return (
      first ??
      (await this.attempt(charge, fallbackRequestId, 'needs_review')) ?? {
        kind: 'refused',
        detail: 'both of its request ids belong to other calls',
      }
    );
  }

  /** undefined when the request id is another call's. */
  private async attempt(
    charge: Charge,
    requestId: string,
    billingStatus: Call['billingStatus'],
    rejectUnpriced = this.config.unpricedModelPolicy === 'reject',
  ): Promise<Outcome | typeof PAYER_CHANGED | undefined> {
    const { call, gateway, payerVersion, model, actor, accountId, userId, apiKeyId } = charge;
    const answer = await this.movements.run(GATEWAY_CHARGE, {
      accountId,
      userId,
      requestId,
      contentHash: call.fingerprint,
      modelId: model,
      ...callOf({ quantities: call.quantities, serviceTier: call.serviceTier }),
      unexplainedTokens: call.unexplainedTokens,
      service: call.service,
      metadata: call.metadata,
      timestamp: call.timestamp,
      providerCostUsd: call.providerCostUsd,
      billingStatus,
      onInsufficient: 'review',
      rejectUnpriced,
      actor,
      apiKeyId,
      // Nothing changes who pays for a call that names no team or organization.
      ...(call.groups.length > 0 && { gateway, payerVersion }),
      ...idempotencyOf(actor, 'charge', null, {}),
    });
    switch (answer.outcome) {
      case 'ok': {
        if (answer.costDiffers && !answer.replayed) this.metrics.countCostDifference(gateway);
        const kind = answer.record.billingStatus === 'needs_review' ? 'review' : 'accepted';
        return { kind: answer.replayed ? 'duplicates' : kind, accountId, usageId: answer.record.id };
      }
      case 'request_mismatch':
        return undefined;
      case 'payer_changed':
        return PAYER_CHANGED;
      case 'user_not_found':
        return unknownUser(accountId === userId ? undefined : { accountId, userId });
      case 'unpriced':
        // It has been made, whatever the policy says: kept, and not debited at a price that was never set.
        return this.attempt(charge, requestId, 'needs_review', false);
      default:
        return { kind: 'refused', detail: answer.outcome };
    }
  }
}

/** @param member of the organisation that is to pay, if one is */
function unknownUser(member: UnknownUser['member'] = null): UnknownUser {
  if (member === null) return { kind: 'unknown_user', detail: null, member };
  const { accountId, userId } = member;
  const detail =
    userId === null
      ? `${accountId} pays, and the call names none of its members`
      : `${accountId} pays, and ${userId} is not a member of it`;
  return { kind: 'unknown_user', detail, member };
}

/** Of calls under one id the first has the id, so the others must come after it. */
function byRequestId(charges: Charge[]): { first: Charge[]; repeated: Charge[] } {
  const seen = new Set<string>();
  const first: Charge[] = [];
  const repeated: Charge[] = [];
  for (const charge of charges) {
    const { requestId } = charge.call;
    (seen.has(requestId) ? repeated : first).push(charge);
    seen.add(requestId);
  }
  return { first, repeated };
}
