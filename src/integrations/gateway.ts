import type { KeyGateway } from '../api-keys/key-gateway.js';
import type { GatewayGroup, GatewayName } from '../common/gateways.js';
import type { Quantities, ServiceTier } from '../pricing/price-classes.js';

/** A finished call, ready to be charged. */
export interface Call {
  /** The same for the same event, however often it is sent: SHA-256 in hexadecimal. */
  fingerprint: string;
  /** The call's own id where it has one. A second call under it is charged under `fallbackRequestId`. */
  requestId: string;
  fallbackRequestId: string;
  /** The model's name here, unless one of `models` had a price then: those names, the most particular first. */
  model: string;
  models: string[];
  /** The user that the gateway names, if that can be a user here. */
  userId: string | null;
  /** SHA-256 of the key it was made with, which may be one of ours. */
  keyHash: string | null;
  /** Those that its key belongs to. The first for which an organisation is set decides. */
  groups: GatewayGroup[];
  /** When it ended, ISO 8601 with microseconds. */
  timestamp: string;
  quantities: Quantities;
  serviceTier: ServiceTier;
  /** Of `quantities.tokens`: those that no class explains, or that contradict themselves. They wait for a review. */
  unexplainedTokens: number;
  /** null: unknown. */
  providerCostUsd: string | null;
  /** What cannot be priced by tokens waits for a person. */
  billingStatus: 'billed' | 'needs_review';
  service: string;
  metadata: Record<string, unknown>;
}

/** What is stored of an event that cannot be charged yet: a few short texts, never a prompt or an answer. */
export type KeptEvent = Record<string, string | null>;

/** What an event means for accounting. */
export type Reading =
  | { kind: 'call'; call: Call }
  /** Nothing to charge: a failure, or a call without tokens and cost. */
  | { kind: 'nothing' }
  /** Not understood, and why. */
  | { kind: 'unclear'; problem: string };

/** One element of a log body. */
export interface Report {
  reading: Reading;
  /** SHA-256 in hexadecimal: that of the call, or of all of an element that is not understood. */
  fingerprint: string;
  /** The user whom the event waits for; null: none. */
  claimedUser: string | null;
  event: KeptEvent;
}

/** A proxy in front of providers that reports finished calls. Each has a folder beside this file. */
export interface Gateway {
  readonly name: GatewayName;
  /** The keys that it holds for us; undefined when it holds none, or is not configured. */
  readonly keys: KeyGateway | undefined;
  /** Reads a body of its log. @throws ServiceError when it cannot be read (400) or has too many events (413) */
  readLog(body: Buffer): Promise<Report[]>;
  /** Reads an event again that was kept. */
  readKept(event: KeptEvent): Reading;
}

/** Injection token of all gateways, as a list of {@link Gateway}. */
export const ALL_GATEWAYS = Symbol('ALL_GATEWAYS');
