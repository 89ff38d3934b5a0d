import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: 24 to 64 bytes. */
const SECRET_BYTES = 32;
const PREFIX = 'whsec_';
const ENCRYPTED = 'aes-256-gcm:';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The endpoints' secrets, which must be read again to sign: encrypted where WEBHOOK_SECRETS_KEY is set. */
@Injectable()
export class WebhookSecrets {
  private readonly key: Buffer | undefined;

  constructor(@Inject(APP_CONFIG) { webhooks }: AppConfig) {
    const { secretsKey } = webhooks;
    this.key = secretsKey === undefined ? undefined : createHash('sha256').update(secretsKey).digest();
  }

  generate(): string {
    return PREFIX + randomBytes(SECRET_BYTES).toString('base64');
  }

  /** As it is stored. */
  seal(secret: string): string {
    if (this.key === undefined) return secret;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce);
    const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return ENCRYPTED + Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64');
  }

  /** @throws Error when it was stored under another key */
  open(stored: string): string {
    if (!stored.startsWith(ENCRYPTED)) return stored;
    if (this.key === undefined)
      throw new Error('the secret is encrypted, and WEBHOOK_SECRETS_KEY is not set');
    const sealed = Buffer.from(stored.slice(ENCRYPTED.length), 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    try {
      const text = decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch {
      throw new Error('the secret was encrypted with another WEBHOOK_SECRETS_KEY');
    }
  }
}
