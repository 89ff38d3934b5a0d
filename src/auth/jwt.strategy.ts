import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { PassportStrategy } from '@nestjs/passport';
import { type SecretOrKeyProvider, Strategy } from 'passport-jwt';
import { type AccountClaims, AccountsService } from '../accounts/accounts.service.js';
import { type FieldError, ServiceError } from '../common/errors/service-error.js';
import { isBearerApiKey } from '../common/http/api-key-format.js';
import { idProblem, userIdProblem } from '../common/http/text.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig, JwtConfig } from '../config/env.js';
import { ApiKeyAsToken, InvalidToken, InvalidTokenType, TokenExpired, TokenRequired } from './auth.errors.js';
import type { Caller, Role } from '../common/http/caller.js';
import { type AccessTokenClaims, accountOf, claimAt } from './claims.js';
import { KnownTokens } from './known-tokens.js';
import { keyProvider } from './token-verifier.js';

const EMAIL_LENGTH = 255;
const USERNAME_LENGTH = 100;
/** The end of the year 9999: what expires later never does. */
const LATEST_EXPIRY = 253_402_300_799;

/**
 * Bearer tokens of the authentication service. The algorithm is pinned by configuration: a shared secret takes HS256
 * only, a public key RS256 and ES256 only, so neither `none` nor a public key used as a secret passes.
 */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    private readonly accounts: AccountsService,
    private readonly knownTokens: KnownTokens,
  ) {
    super({
      jwtFromRequest: bearerToken,
      // The type knows strings and buffers only; jsonwebtoken, which it is handed to, takes a KeyObject.
      secretOrKeyProvider: keyProvider(config.jwt) as SecretOrKeyProvider,
      algorithms: config.jwt.algorithms,
      passReqToCallback: true,
      issuer: config.jwt.issuer,
      audience: config.jwt.audiences.length > 0 ? config.jwt.audiences : undefined,
      jsonWebTokenOptions: { clockTolerance: config.jwt.clockToleranceSeconds },
    });
  }

  /** Checks the claims of a token whose signature is good, and makes sure the account exists. */
  async validate(request: Request, claims: AccessTokenClaims): Promise<Caller> {
    const { tokenType } = this.config.jwt;
    if (tokenType !== undefined && claimAt(claims, tokenType.claim) !== tokenType.value) {
      throw new InvalidTokenType();
    }
    const account = accountOf(claims, this.config.jwt);
    const problems = claimProblems(claims, account, this.config.jwt);
    if (problems.length > 0) throw new InvalidToken(problems);
    await this.accounts.ensure(account);
    const caller: Caller = {
      kind: 'user',
      userId: claims.sub,
      accountId: claims.sub,
      role: account.role as Role,
      actor: claims.sub,
      isTrustedService: false,
      apiKeyId: null,
      permissions: null,
    };
    this.knownTokens.remember(request.headers.authorization as string, caller, account, claims.exp);
    return caller;
  }

  /**
   * Who a token is of that came by no request: one of the provider's, as it arrives. It passes the checks of every other.
   *
   * @throws as a request with it
   */
  callerOf(token: string): Promise<Caller> {
    return new Promise((resolve, reject) => {
      // As passport does: the strategy says how it ended by the methods of the object it runs on.
      const authorization = `Bearer ${token}`;
      const attempt = Object.assign(Object.create(this) as JwtStrategy, {
        success: resolve,
        fail: (info: unknown) => reject(refusal(info, authorization)),
        error: reject,
      });
      attempt.authenticate({ headers: { authorization } } as Request);
    });
  }
}

/** All that comes after the scheme: passport-jwt's own would take the first of two tokens and pass over the other. */
function bearerToken({ headers }: Request): string | null {
  return /^bearer\s+(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

function claimProblems(
  claims: AccessTokenClaims,
  account: AccountClaims,
  { claims: names, clockToleranceSeconds }: JwtConfig,
): FieldError[] {
  const problems: FieldError[] = [];
  const check = (field: string, problem: string | undefined) => {
    if (problem !== undefined) problems.push({ field, message: problem });
  };
  check('sub', userIdProblem(claims.sub));
  check(names.email, idProblem(account.email, EMAIL_LENGTH));
  check(names.username, idProblem(account.username, USERNAME_LENGTH));
  // jsonwebtoken refuses an exp in the past, but accepts a token that never expires.
  check('exp', claims.exp <= LATEST_EXPIRY ? undefined : 'must be a time in seconds, before the year 10000');
  check('iat', issueTimeProblem(claims.iat, clockToleranceSeconds));
  return problems;
}

function issueTimeProblem(issuedAt: unknown, toleranceSeconds: number): string | undefined {
  if (issuedAt === undefined) return undefined;
  if (typeof issuedAt !== 'number') return 'must be a time in seconds';
  return issuedAt > Date.now() / 1000 + toleranceSeconds ? 'must not be in the future' : undefined;
}

/** Why passport refused the token: what the key provider said, or an error of jsonwebtoken. */
export function refusal(info: unknown, authorization: string | undefined): ServiceError {
  if (isBearerApiKey(authorization)) return new ApiKeyAsToken();
  if (info instanceof ServiceError) return info;
  const { name, message } = (info ?? {}) as Partial<Error>;
  if (name === 'TokenExpiredError') return new TokenExpired();
  const claim = /^jwt (audience|issuer) invalid/.exec(message ?? '')?.[1];
  if (claim === 'audience') return new InvalidToken([{ field: 'aud', message: 'must name JWT_AUDIENCE' }]);
  if (claim === 'issuer') return new InvalidToken([{ field: 'iss', message: 'must be JWT_ISSUER' }]);
  return message === 'No auth token' ? new TokenRequired() : new InvalidToken();
}
