import { Injectable } from '@nestjs/common';
import type { CombinedReads } from '../common/database/combined-reads.js';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { ApiKeyLastUse } from './api-key-last-use.js';
import { digestOf, isApiKey } from '../common/http/api-key-format.js';
import { InvalidApiKey } from './auth.errors.js';
import type { Caller, Permission } from '../common/http/caller.js';

/** By the digest: how long it takes says nothing about which keys exist. */
const LIVE_KEY = {
  name: 'api_keys_live',
  text: 'SELECT key, id, account_id, user_id, permissions FROM api_keys_live($1)',
};

/** Callers by `X-API-Key`. Each request asks the database, so a revoked key fails on the next one, on every instance. */
@Injectable()
export class ApiKeyAuthenticator {
  private readonly keys: CombinedReads<{
    key: string;
    id: string;
    account_id: string;
    user_id: string;
    permissions: Permission[];
  }>;

  constructor(
    database: Database,
    private readonly use: ApiKeyLastUse,
  ) {
    this.keys = database.reads(LIVE_KEY);
  }

  /** @throws InvalidApiKey */
  async authenticate(key: string): Promise<Caller> {
    if (!isApiKey(key)) throw new InvalidApiKey();
    const row = await this.keys.of(digestOf(key));
    if (row === undefined) throw new InvalidApiKey();
    const apiKeyId = toSafeInteger(row.id);
    this.use.note(row.account_id, apiKeyId);
    return {
      kind: 'api_key',
      userId: row.user_id,
      accountId: row.account_id,
      role: 'user',
      actor: `service:api-key-${apiKeyId}`,
      isTrustedService: false,
      apiKeyId,
      permissions: row.permissions,
    };
  }
}
