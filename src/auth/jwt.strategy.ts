import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { PassportStrategy } from '@nestjs/passport';
import { type SecretOrKeyProvider, Strategy } from 'passport-jwt';
import { AccountsService } from '../accounts/accounts.service.js';
import type { FieldError } from '../common/errors/service-error.js';
import { idProblem, userIdProblem } from '../common/http/text.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { InvalidToken, InvalidTokenType } from './auth.errors.js';
import { type Caller, roleOf } from '../common/http/caller.js';
import { KnownTokens } from './known-tokens.js';
import { keyProvider } from './token-verifier.js';

export interface AccessTokenClaims {
  sub: string;
  username: string;
  email: string;
  role: string;
  type: string;
  iat?: number;
  exp: number;
}

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
      jsonWebTokenOptions: { clockTolerance: config.jwt.clockToleranceSeconds },
    });
  }

  /** Checks the claims of a token whose signature is good, and makes sure the account exists. */
  async validate(request: Request, claims: AccessTokenClaims): Promise<Caller> {
    if (claims.type !== 'access') throw new InvalidTokenType();
    const problems = claimProblems(claims, this.config.jwt.clockToleranceSeconds);
    if (problems.length > 0) throw new InvalidToken(problems);
    const role = roleOf(claims.role);
    const account = { userId: claims.sub, email: claims.email, username: claims.username, role };
    await this.accounts.ensure(account);
    const caller: Caller = {
      kind: 'user',
      userId: claims.sub,
      accountId: claims.sub,
      role,
      actor: claims.sub,
      isTrustedService: false,
      apiKeyId: null,
      permissions: null,
    };
    this.knownTokens.remember(request.headers.authorization as string, caller, account, claims.exp);
    return caller;
  }
}

/** All that comes after the scheme: passport-jwt's own would take the first of two tokens and pass over the other. */
function bearerToken({ headers }: Request): string | null {
  return /^bearer\s+(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

function claimProblems(claims: AccessTokenClaims, toleranceSeconds: number): FieldError[] {
  const problems: FieldError[] = [];
  const check = (field: string, problem: string | undefined) => {
    if (problem !== undefined) problems.push({ field, message: problem });
  };
  check('sub', userIdProblem(claims.sub));
  check('email', idProblem(claims.email, EMAIL_LENGTH));
  check('username', idProblem(claims.username, USERNAME_LENGTH));
  // jsonwebtoken refuses an exp in the past, but accepts a token that never expires.
  check('exp', claims.exp <= LATEST_EXPIRY ? undefined : 'must be a time in seconds, before the year 10000');
  check('iat', issueTimeProblem(claims.iat, toleranceSeconds));
  return problems;
}

function issueTimeProblem(issuedAt: unknown, toleranceSeconds: number): string | undefined {
  if (issuedAt === undefined) return undefined;
  if (typeof issuedAt !== 'number') return 'must be a time in seconds';
  return issuedAt > Date.now() / 1000 + toleranceSeconds ? 'must not be in the future' : undefined;
}
