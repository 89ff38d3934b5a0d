import type { GatewayGroup, GatewayName } from '../common/gateways.js';
import type { GatewaySettings } from './entities/api-key.entity.js';

/**
 * What came of a call. `absent`: the gateway says that it has no such key. `refused`: it has done nothing and never will.
 * `unreached`: it has done nothing, but may another time. `unknown`: it may have done it, or may do it yet.
 */
export type GatewayOutcome =
  | { readonly kind: 'done' | 'absent' | 'unreached' | 'unknown' }
  | { readonly kind: 'refused'; readonly status: number };

/** What the gateway itself enforces, and what may change. */
export interface GatewayBounds {
  /** Until the key expires; null: never. */
  readonly secondsLeft: number | null;
  /** The most that the key may spend there, by the gateway's own count; null: no limit. */
  readonly maxBudgetUsd: number | null;
}

export interface GatewayKeyRequest extends GatewayBounds {
  readonly key: string;
  /** For people who look at the gateway. */
  readonly alias: string;
  /** Who made it. */
  readonly userId: string;
  /** Where it belongs there; null: nowhere. */
  readonly group: GatewayGroup | null;
  readonly keyId: number;
  readonly settings: Omit<GatewaySettings, 'maxBudgetUsd'>;
}

/**
 * A gateway that is configured and holds keys of ours. One attempt per call, within a time limit; no call throws, and
 * nothing of the gateway's answers goes further than its outcome. A digest is the SHA-256 of a key.
 */
export interface KeyGateway {
  /** The user id of the gateway's own administrator, whose keys may do everything there. */
  readonly administratorId: string;
  /** Makes a key of our choosing, blocked: should the answer get lost, there is nothing that works. */
  generate(request: GatewayKeyRequest): Promise<GatewayOutcome>;
  unblock(key: string): Promise<GatewayOutcome>;
  bound(digest: string, bounds: GatewayBounds): Promise<GatewayOutcome>;
  remove(digest: string): Promise<GatewayOutcome>;
}

/** Injection token of {@link KeyGateways}: what is above this module provides them, so that nothing here imports it. */
export const KEY_GATEWAYS = Symbol('KEY_GATEWAYS');
export type KeyGateways = ReadonlyMap<GatewayName, KeyGateway>;

/** Statuses by which a gateway refuses what was asked; with others it refuses us. */
const REFUSES_REQUEST = [400, 403, 422];

export function isRefusedRequest(outcome: GatewayOutcome): boolean {
  return outcome.kind === 'refused' && REFUSES_REQUEST.includes(outcome.status);
}

/** For the log: never a word of the gateway's, which may repeat a key. */
export function describe(outcome: GatewayOutcome): string {
  return outcome.kind === 'refused' ? `refused with status ${outcome.status}` : outcome.kind;
}
