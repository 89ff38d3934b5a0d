import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { CombinedReads } from '../common/database/combined-reads.js';
import type { Database } from '../common/database/database.js';
import { ProviderUnavailable, TokenExpired } from './auth.errors.js';
import { type IdentityProvider, type ProviderTokens, SignInRefused } from './identity-provider.js';
import { claimsOf } from './token-verifier.js';

const SECRET_BYTES = 32;
const SECRET = /^[\w-]{43}$/;
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** New tokens are asked for so long before the old one expires, or for its last quarter if that is shorter. */
const RENEWAL_MILLISECONDS = 60_000;
/** How long an instance may take to renew a session until another one tries; longer than its calls to the provider. */
const CLAIM_SECONDS = 15;
/** How often, and how many times, a request looks whether another instance has renewed its session. */
const WAIT_MILLISECONDS = 250;
const WAITS = 40;

const FIND = {
  name: 'console_session_find',
  text: `SELECT digest AS key, user_id, tokens, extract(epoch FROM ends_at)::float8 * 1000 AS ends_at,
                coalesce(renewing_until > now(), FALSE) AS is_renewing
           FROM console_sessions WHERE digest = ANY ($1::varchar[]) AND ends_at > now()`,
};
const BEGIN = {
  name: 'console_session_begin',
  text: `INSERT INTO console_sessions (digest, user_id, tokens, ends_at)
         VALUES ($1, $2, $3, now() + $4 * interval '1 hour')`,
};
const FORGET = {
  name: 'console_sessions_forget',
  text: 'DELETE FROM console_sessions WHERE ends_at <= now()',
};
/** Only one request of one instance gets it, as long as no newer tokens are stored. */
const CLAIM = {
  name: 'console_session_claim',
  text: `UPDATE console_sessions SET renewing_until = now() + $3 * interval '1 second'
          WHERE digest = $1 AND tokens = $2 AND coalesce(renewing_until < now(), TRUE) RETURNING 1`,
};
/** A session that was ended meanwhile stays ended. */
const STORE = {
  name: 'console_session_store',
  text: `UPDATE console_sessions SET tokens = $3, renewing_until = NULL WHERE digest = $1 AND tokens = $2 RETURNING 1`,
};
const RELEASE = {
  name: 'console_session_release',
  text: 'UPDATE console_sessions SET renewing_until = NULL WHERE digest = $1 AND tokens = $2',
};
const END = {
  name: 'console_session_end',
  text: 'DELETE FROM console_sessions WHERE digest = $1 RETURNING tokens',
};

interface Row {
  key: string;
  user_id: string;
  /** Sealed. */
  tokens: string;
  /** In milliseconds since 1970. */
  ends_at: number;
  /** Whether an instance has it renewed right now. */
  is_renewing: boolean;
}

interface SessionTokens extends ProviderTokens {
  /** From here on the tokens are renewed; in milliseconds since 1970. */
  readonly renewAt: number;
}

export interface ConsoleSession {
  readonly userId: string;
  readonly accessToken: string;
  /** In milliseconds since 1970. */
  readonly endsAt: number;
}

/**
 * Sessions of people in the console. The cookie has a random secret; the table has its digest, and the provider's tokens
 * sealed with a key made of the secret. So any instance serves any session, an ended one is refused by the next request of
 * every instance, no tokens go to the browser, and there is no key to keep and to rotate.
 */
export class ConsoleSessions {
  private readonly found: CombinedReads<Row>;
  /** By digest: requests of one page that come together wait for one renewal. */
  private readonly renewals = new Map<string, Promise<Row>>();

  constructor(
    private readonly database: Database,
    private readonly provider: IdentityProvider,
    private readonly hours: number,
  ) {
    this.found = database.reads(FIND);
  }

  /** @returns the secret for the cookie, always a new one */
  async begin(userId: string, tokens: ProviderTokens): Promise<string> {
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    await this.database.rows(FORGET);
    await this.database.rows(BEGIN, [digestOf(secret), userId, seal(secret, tokens), this.hours]);
    return secret;
  }

  /**
   * The session of a cookie, with an access token that is renewed where it is about to expire.
   *
   * @throws TokenExpired when there is none, or the provider has ended it; ProviderUnavailable when the access token has
   * expired and the provider does not answer
   */
  async find(secret: string): Promise<ConsoleSession> {
    const row = await this.read(secret);
    const tokens = open(secret, row);
    if (Date.now() < tokens.renewAt) return sessionOf(row, tokens);
    const isExpired = Date.now() >= expiryIn(tokens.access);
    if (tokens.refresh === undefined) {
      if (isExpired) throw new TokenExpired();
      return sessionOf(row, tokens);
    }
    const renewal = this.renewOnce(secret, row, tokens);
    if (isExpired) {
      const renewed = await renewal;
      return sessionOf(renewed, open(secret, renewed));
    }
    // As long as the old token is good, no request waits for the next, and a provider in trouble disturbs no one.
    renewal.catch(() => undefined);
    return sessionOf(row, tokens);
  }

  /** Ends it on every instance. @returns the tokens that it had; undefined when there was none */
  async end(secret: string): Promise<ProviderTokens | undefined> {
    if (!SECRET.test(secret)) return undefined;
    const [row] = await this.database.rows<Pick<Row, 'tokens'>>(END, [digestOf(secret)]);
    return row && open(secret, row);
  }

  /** Waits for the renewals under way. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.renewals.values());
  }

  private async read(secret: string): Promise<Row> {
    const row = SECRET.test(secret) ? await this.found.of(digestOf(secret)) : undefined;
    if (row === undefined) throw new TokenExpired();
    return row;
  }

  private renewOnce(secret: string, row: Row, tokens: SessionTokens): Promise<Row> {
    let renewal = this.renewals.get(row.key);
    if (renewal === undefined) {
      renewal = this.renew(secret, row, tokens).finally(() => this.renewals.delete(row.key));
      this.renewals.set(row.key, renewal);
    }
    return renewal;
  }

  /** By one instance only: providers take the second use of a refresh token for a theft, and end everything. */
  private async renew(secret: string, row: Row, tokens: SessionTokens): Promise<Row> {
    const [claimed] = await this.database.rows(CLAIM, [row.key, row.tokens, CLAIM_SECONDS]);
    if (claimed === undefined) return this.renewedElsewhere(secret, row);
    try {
      const next = seal(secret, await this.provider.renew(tokens));
      const [stored] = await this.database.rows(STORE, [row.key, row.tokens, next]);
      if (stored === undefined) throw new TokenExpired();
      return { ...row, tokens: next };
    } catch (error) {
      if (error instanceof SignInRefused) {
        await this.database.rows(END, [row.key]);
        throw new TokenExpired();
      }
      await this.database.rows(RELEASE, [row.key, row.tokens]);
      throw error;
    }
  }

  private async renewedElsewhere(secret: string, before: Row): Promise<Row> {
    const expiresAt = expiryIn(open(secret, before).access);
    for (let wait = 0; wait < WAITS; wait++) {
      const now = await this.read(secret);
      if (now.tokens !== before.tokens) return now;
      if (Date.now() < expiresAt) return before;
      // The other instance has given up, so the provider has not answered it.
      if (!now.is_renewing) break;
      await pause(WAIT_MILLISECONDS);
    }
    throw new ProviderUnavailable();
  }
}

const sessionOf = (
  { user_id: userId, ends_at: endsAt }: Row,
  { access, refresh }: ProviderTokens,
): ConsoleSession => ({
  userId,
  accessToken: access,
  endsAt: refresh === undefined ? Math.min(endsAt, expiryIn(access)) : endsAt,
});

/** In milliseconds since 1970. What is no token of ours has expired: it is refused as every other. */
function expiryIn(token: string): number {
  return (claimsOf(token)?.exp ?? 0) * 1000;
}

function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Of the secret alone, and nothing that its digest says. */
const keyOf = (secret: string) =>
  Buffer.from(hkdfSync('sha256', secret, '', 'tokens of a console session', 32));

function seal(secret: string, { access, refresh, id }: ProviderTokens): string {
  const expiresAt = expiryIn(access);
  const renewAt = expiresAt - Math.min(RENEWAL_MILLISECONDS, Math.max(expiresAt - Date.now(), 0) / 4);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, keyOf(secret), nonce);
  const text = JSON.stringify({ access, refresh, id, renewAt } satisfies SessionTokens);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
}

/** @throws TokenExpired for tokens of another session */
function open(secret: string, { tokens }: Pick<Row, 'tokens'>): SessionTokens {
  const bytes = Buffer.from(tokens, 'base64');
  const decipher = createDecipheriv(CIPHER, keyOf(secret), bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
    return JSON.parse(Buffer.concat([text, decipher.final()]).toString('utf8')) as SessionTokens;
  } catch {
    throw new TokenExpired();
  }
}
