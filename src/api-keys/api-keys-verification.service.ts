import { Injectable } from '@nestjs/common';
import { digestOf } from '../common/http/api-key-format.js';
import type { Permission } from '../common/http/caller.js';
import type { CombinedReads } from '../common/database/combined-reads.js';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { isoTime } from '../common/http/time.js';
import type { VerifyApiKeyDto } from './dto/api-keys.requests.js';
import type { VerificationCode, VerificationDto } from './dto/api-keys.responses.js';

const VERIFY = { name: 'api_keys_verify', text: 'SELECT * FROM api_keys_verify($1)' };

interface Row {
  key: string;
  id: string;
  account_id: string;
  user_id: string;
  permissions: Permission[];
  expires_at: Date | null;
  is_active: boolean;
  is_expired: boolean | null;
  available: string | null;
  room: string | null;
}

/** Verifies a key for a trusted service. */
@Injectable()
export class ApiKeysVerificationService {
  private readonly keys: CombinedReads<Row>;

  constructor(database: Database) {
    this.keys = database.reads(VERIFY);
  }

  /** One round trip. «No» is an answer, with the reason as its code. */
  async verify({ key, permission }: VerifyApiKeyDto): Promise<VerificationDto> {
    const row = await this.keys.of(digestOf(key));
    const code = codeOf(row, permission);
    return {
      valid: code === 'valid',
      code,
      keyId: row === undefined ? null : toSafeInteger(row.id),
      accountId: row?.account_id ?? null,
      userId: row?.user_id ?? null,
      permissions: row?.permissions ?? [],
      expiresAt: row?.expires_at ? isoTime(row.expires_at) : null,
      availableCredits: row === undefined ? null : code === 'valid' ? spendable(row) : 0,
    };
  }
}

function codeOf(row: Row | undefined, permission: Permission | undefined): VerificationCode {
  if (row === undefined) return 'not_found';
  if (!row.is_active) return 'revoked';
  if (row.is_expired) return 'expired';
  if (permission !== undefined && !row.permissions.includes(permission)) return 'missing_permission';
  return row.room === '0' ? 'over_limit' : 'valid';
}

function spendable({ available, room }: Row): number {
  const credits = toSafeInteger(available ?? '0');
  return room === null ? credits : Math.min(credits, toSafeInteger(room));
}
