import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import type { Call } from './gateway.js';

/**
 * Which of the named users and keys are known here, and the places of the names of models that had a price when their
 * call was made: all of a batch in one round trip.
 */
const LOOK_UP = {
  name: 'gateway_look_up',
  text: `SELECT 'user' AS kind, user_id AS name, user_id, NULL::bigint AS id
           FROM user_accounts WHERE user_id = ANY($1::varchar[])
         UNION ALL
         SELECT 'key', key, account_id, id FROM api_keys WHERE key = ANY($2::varchar[])
         UNION ALL
         SELECT 'model', NULL, NULL, priced_models($3, $4)`,
};

/** To which of the possible users a call was charged before. */
const CHARGED = {
  name: 'gateway_charged',
  text: `SELECT c.user_id, encode(r.request_hash, 'hex') AS fingerprint
           FROM unnest($1::varchar[], $2::varchar[]) AS c (user_id, request_id)
           JOIN usage_records r ON r.account_id = c.user_id AND r.request_id = c.request_id`,
};

/** The user a call is charged to, and their key whose limit it counts for. */
export interface Owner {
  userId: string;
  apiKeyId: number | null;
}

interface Known {
  users: Set<string>;
  keys: Map<string, { userId: string; id: number }>;
  /** The first of a call's names that had a price. */
  models: Map<Call, string>;
}

/** Finds the users and models of calls. */
@Injectable()
export class CallDirectory {
  constructor(private readonly database: Database) {}

  async lookUp(calls: Call[]) {
    const known = await this.known(calls);
    const charged = await this.chargedBefore(calls, known);
    return {
      /** undefined: no known user. */
      ownerOf: (call: Call): Owner | undefined => {
        const userId = charged.get(call.fingerprint) ?? this.candidates(call, known)[0];
        if (userId === undefined) return undefined;
        const key = known.keys.get(call.keyHash ?? '');
        return { userId, apiKeyId: key?.userId === userId ? key.id : null };
      },
      modelOf: (call: Call): string => known.models.get(call) ?? call.model,
    };
  }

  private async known(calls: Call[]): Promise<Known> {
    const known: Known = { users: new Set(), keys: new Map(), models: new Map() };
    if (calls.length === 0) return known;
    const names = calls.flatMap((call) => call.models.map((model) => ({ call, model })));
    const priced = new Set<number>();
    const rows = await this.database.rows<{ kind: string; name: string; user_id: string; id: string }>(
      LOOK_UP,
      [
        distinct(calls.map(({ userId }) => userId)),
        distinct(calls.map(({ keyHash }) => keyHash)),
        names.map(({ model }) => model),
        names.map(({ call }) => call.timestamp),
      ],
    );
    for (const { kind, name, user_id, id } of rows) {
      if (kind === 'user') known.users.add(name);
      else if (kind === 'key') known.keys.set(name, { userId: user_id, id: toSafeInteger(id) });
      else priced.add(Number(id));
    }
    names.forEach(({ call, model }, index) => {
      if (priced.has(index + 1) && !known.models.has(call)) known.models.set(call, model);
    });
    return known;
  }

  /**
   * A call that went to the user it names, because its key was unknown, must not go to the key's owner as well when it
   * comes again.
   */
  private async chargedBefore(calls: Call[], known: Known): Promise<Map<string, string>> {
    const pairs = calls.flatMap((call) => {
      const users = this.candidates(call, known);
      if (users.length < 2) return [];
      return users.flatMap((user) =>
        [call.requestId, call.fallbackRequestId].map((id) => [user, id] as const),
      );
    });
    if (pairs.length === 0) return new Map();
    const rows = await this.database.rows<{ user_id: string; fingerprint: string }>(CHARGED, [
      pairs.map(([user]) => user),
      pairs.map(([, id]) => id),
    ]);
    return new Map(rows.map(({ user_id, fingerprint }) => [fingerprint, user_id]));
  }

  /** The known users of a call, the first of whom pays: the owner of a key of ours, and the user that the gateway names. */
  private candidates({ userId, keyHash }: Call, { users, keys }: Known): string[] {
    const owner = keys.get(keyHash ?? '')?.userId ?? null;
    return distinct([owner, userId !== null && users.has(userId) ? userId : null]);
  }
}

function distinct(texts: (string | null)[]): string[] {
  return [...new Set(texts)].filter((text) => text !== null);
}
