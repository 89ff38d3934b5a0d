import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { SecretGone } from '../errors/service-error.js';
import { type Idempotency, idempotencyOf } from './idempotency.js';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The identity of a request whose answer has a secret, with the means to keep that secret for a repeated request. */
export interface SecretIdempotency extends Idempotency {
  /** The secret as it is remembered; null where nothing is remembered. */
  seal(secret: string): string | null;
  /** @throws SecretGone */
  open(sealed: string): string;
}

/**
 * Answers that have a secret, which the database must not hold in the clear. It is sealed by the caller's own
 * Idempotency-Key, of which the database gets a digest, together with WEBHOOK_SECRETS_KEY where that is set: only the
 * request that comes again can open it.
 */
@Injectable()
export class SecretAnswers {
  private readonly serverSecret: string;

  constructor(@Inject(APP_CONFIG) { webhooks }: AppConfig) {
    this.serverSecret = webhooks.secretsKey ?? '';
  }

  /** As idempotencyOf. */
  idempotency(callerId: string, operation: string, key: string | null, content: object): SecretIdempotency {
    const digest = key === null ? null : createHash('sha256').update(`${callerId}\n${key}`).digest('hex');
    const secret = () => Buffer.from(hkdfSync('sha256', key ?? '', this.serverSecret, callerId, 32));
    return {
      ...idempotencyOf(callerId, operation, digest === null ? null : `sha256:${digest}`, content),
      seal: (text) => (key === null ? null : seal(secret(), text)),
      open: (sealed) => open(secret(), sealed),
    };
  }
}

function seal(key: Buffer, text: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
}

function open(key: Buffer, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64');
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString('utf8');
  } catch {
    throw new SecretGone();
  }
}
