import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import type { GatewayGroup } from '../common/gateways.js';
import { toSafeInteger } from '../common/database/transformers.js';
import type { Call, Gateway } from './gateway.js';

/**
 * Which of the named users, keys and groups are known here, and the places of the names of models that had a price when
 * their call was made: all of a batch in one round trip. Of a group also who paid for it before.
 */
const LOOK_UP = {
  name: 'gateway_look_up',
  text: `SELECT 'user' AS kind, user_id AS name, user_id AS account_id, user_id, NULL::bigint AS id, TRUE AS is_current
           FROM user_accounts WHERE user_id = ANY($1::varchar[])
         UNION ALL
         SELECT 'key', key, account_id, user_id, api_key_id, TRUE FROM api_key_digests WHERE key = ANY($2::varchar[])
         UNION ALL
         SELECT a.kind, a.external_id, a.account_id, NULL, NULL, a.ended_at IS NULL
           FROM gateway_accounts a
           JOIN unnest($6::varchar[], $7::varchar[]) AS g (kind, id) ON a.kind = g.kind AND a.external_id = g.id
          WHERE a.gateway = $5
         UNION ALL
         SELECT 'version', NULL, NULL, NULL, version, TRUE FROM gateways WHERE name = $5
         UNION ALL
         SELECT 'model', NULL, NULL, NULL, priced_models($3, $4), TRUE`,
};

/** To which of the possible accounts a call was charged before. */
const CHARGED = {
  name: 'gateway_charged',
  text: `SELECT r.account_id, r.id, encode(r.request_hash, 'hex') AS fingerprint
           FROM unnest($1::varchar[], $2::varchar[]) AS c (account_id, request_id)
           JOIN usage_records r ON r.account_id = c.account_id AND r.request_id = c.request_id`,
};

/** The account that pays for a call, the user who spends from it, and the key whose limit it counts for. */
export interface Payer {
  accountId: string;
  userId: string;
  apiKeyId: number | null;
}

/** The record of a call. */
export interface Charged {
  accountId: string;
  usageId: number;
}

interface Row {
  kind: 'user' | 'key' | 'model' | 'version' | GatewayGroup['kind'];
  name: string;
  account_id: string;
  user_id: string;
  id: string;
  is_current: boolean;
}

interface Known {
  /** Of the settings of who pays. */
  version: number;
  users: Set<string>;
  keys: Map<string, Payer>;
  /** Who pays for a group, by `idOf`. */
  groups: Map<string, string>;
  /** All who have ever paid for it. */
  pastGroups: Map<string, string[]>;
  /** The first of a call's names that had a price. */
  models: Map<Call, string>;
}

/** Finds the payers and models of calls. */
@Injectable()
export class CallDirectory {
  constructor(private readonly database: Database) {}

  async lookUp(gateway: Gateway['name'], calls: Call[]) {
    const known = await this.known(gateway, calls);
    const charged = await this.chargedBefore(calls, known);
    return {
      version: known.version,
      /** Where a call was charged before, as far as that may have been elsewhere than where it is to be charged now. */
      chargedAs: (call: Call): Charged | undefined => charged.get(call.fingerprint),
      /** undefined: no known user. An organisation with `userId` null: it is to pay, and the call names no user. */
      payerOf: (call: Call): Payer | { accountId: string; userId: null } | undefined => payerOf(call, known),
      modelOf: (call: Call): string => known.models.get(call) ?? call.model,
    };
  }

  private async known(gateway: Gateway['name'], calls: Call[]): Promise<Known> {
    const known: Known = {
      version: 0,
      users: new Set(),
      keys: new Map(),
      groups: new Map(),
      pastGroups: new Map(),
      models: new Map(),
    };
    if (calls.length === 0) return known;
    const names = calls.flatMap((call) => call.models.map((model) => ({ call, model })));
    const groups = [
      ...new Map(calls.flatMap((call) => call.groups.map((each) => [idOf(each), each]))).values(),
    ];
    const priced = new Set<number>();
    const rows = await this.database.rows<Row>(LOOK_UP, [
      distinct(calls.map(({ userId }) => userId)),
      distinct(calls.map(({ keyHash }) => keyHash)),
      names.map(({ model }) => model),
      names.map(({ call }) => call.timestamp),
      gateway,
      groups.map(({ kind }) => kind),
      groups.map(({ id }) => id),
    ]);
    for (const { kind, name, account_id: accountId, user_id: userId, id, is_current } of rows) {
      if (kind === 'user') known.users.add(name);
      else if (kind === 'key') known.keys.set(name, { accountId, userId, apiKeyId: toSafeInteger(id) });
      else if (kind === 'model') priced.add(Number(id));
      else if (kind === 'version') known.version = toSafeInteger(id);
      else {
        const group = idOf({ kind, id: name });
        known.pastGroups.set(group, [...(known.pastGroups.get(group) ?? []), accountId]);
        if (is_current) known.groups.set(group, accountId);
      }
    }
    if (known.version === 0) throw new Error(`the table gateways lacks ${gateway}`);
    names.forEach(({ call, model }, index) => {
      if (priced.has(index + 1) && !known.models.has(call)) known.models.set(call, model);
    });
    return known;
  }

  /**
   * A call that went to the user it names, because its key was unknown, or to the organisation that paid for its team then,
   * must not go to another account as well when it comes again.
   */
  private async chargedBefore(calls: Call[], known: Known): Promise<Map<string, Charged>> {
    const pairs = calls.flatMap((call) => {
      const accounts = accountsOf(call, known);
      // An operation finds by itself what it has charged to a user.
      if (accounts.length < 2 && accounts[0] === call.userId) return [];
      return accounts.flatMap((account) =>
        [call.requestId, call.fallbackRequestId].map((id) => [account, id] as const),
      );
    });
    if (pairs.length === 0) return new Map();
    const rows = await this.database.rows<{ account_id: string; id: string; fingerprint: string }>(CHARGED, [
      pairs.map(([account]) => account),
      pairs.map(([, id]) => id),
    ]);
    return new Map(
      rows.map(({ account_id: accountId, id, fingerprint }) => [
        fingerprint,
        { accountId, usageId: toSafeInteger(id) },
      ]),
    );
  }
}

/** A key of ours decides, then what is set for the call's groups, then the user that the gateway names. */
function payerOf({ userId, keyHash, groups }: Call, known: Known) {
  const owner = known.keys.get(keyHash ?? '');
  if (owner !== undefined) return owner;
  const accountId = groups.map((group) => known.groups.get(idOf(group))).find((each) => each !== undefined);
  if (accountId !== undefined) return { accountId, userId, apiKeyId: null };
  return userId !== null && known.users.has(userId)
    ? { accountId: userId, userId, apiKeyId: null }
    : undefined;
}

/** The accounts that a call may have been charged to. */
function accountsOf({ userId, keyHash, groups }: Call, known: Known): string[] {
  return distinct([
    known.keys.get(keyHash ?? '')?.accountId ?? null,
    ...groups.flatMap((group) => known.pastGroups.get(idOf(group)) ?? []),
    userId !== null && known.users.has(userId) ? userId : null,
  ]);
}

const idOf = ({ kind, id }: GatewayGroup): string => `${kind} ${id}`;

function distinct(texts: (string | null)[]): string[] {
  return [...new Set(texts)].filter((text) => text !== null);
}
