import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { type ExecutionContext, Inject, Injectable, Optional } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import passport from 'passport';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { isApiKey } from '../common/http/api-key-format.js';
import { ApiKeyAuthenticator } from './api-key.authenticator.js';
import { AmbiguousCredentials, InvalidInternalKey, InvalidToken } from './auth.errors.js';
import { type AuthenticatedRequest, type Caller, INTERNAL_ACTOR } from '../common/http/caller.js';
import { KnownTokens } from './known-tokens.js';
import { JwtStrategy, refusal } from './jwt.strategy.js';
import { SignInService } from './sign-in.service.js';

/**
 * Finds out who is calling. It refuses no one: the rate limit comes next and counts by caller (or by address when there
 * is none), and the access guard then refuses with what is kept in `authenticationError`.
 */
@Injectable()
export class AuthenticationGuard extends AuthGuard() {
  private readonly internalKeyDigest: Buffer | undefined;

  constructor(
    @Inject(APP_CONFIG) config: AppConfig,
    strategy: JwtStrategy,
    private readonly apiKeys: ApiKeyAuthenticator,
    private readonly knownTokens: KnownTokens,
    @Optional() private readonly signIn?: SignInService,
  ) {
    // Passport knows strategies by name in one registry per process; a name of its own keeps a second application in
    // the same process from taking this one's place.
    const name = `jwt-${randomUUID()}`;
    passport.use(name, strategy);
    super({ defaultStrategy: name });
    this.internalKeyDigest = config.internalApiKey === undefined ? undefined : digest(config.internalApiKey);
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const { internalKey, apiKey } = keysOf(request);
    if (internalKey !== undefined) {
      if (!this.isInternalKey(internalKey)) {
        request.authenticationError = new InvalidInternalKey();
        return true;
      }
      request.isTrustedService = true;
    }
    await this.authenticate(request, apiKey, context);
    if (request.user && request.isTrustedService) request.user = { ...request.user, isTrustedService: true };
    return true;
  }

  /** Who the request is from: a token, an API key, a trusted service that shows neither, or a session of the console. */
  private async authenticate(
    request: AuthenticatedRequest,
    apiKey: string | undefined,
    context: ExecutionContext,
  ): Promise<void> {
    const { authorization } = request.headers;
    if (authorization !== undefined) {
      if (apiKey === undefined && isOnce(request, 'authorization')) {
        await this.byToken(authorization, request, context);
      } else request.authenticationError = new AmbiguousCredentials();
    } else if (apiKey !== undefined) {
      await this.apiKeys.authenticate(apiKey).then(
        (caller) => (request.user = caller),
        (error: Error) => (request.authenticationError = error),
      );
    } else if (request.isTrustedService) {
      request.user = TRUSTED_SERVICE;
    } else await this.bySession(request, context);
  }

  /** From here on a request of a session is one with the session's access token: it may do neither more nor less. */
  private async bySession(request: AuthenticatedRequest, context: ExecutionContext): Promise<void> {
    try {
      const session = await this.signIn?.sessionOf(request);
      if (session === undefined) return;
      request.headers.authorization = `Bearer ${session.accessToken}`;
      request.sessionEndsAt = session.endsAt;
      await this.byToken(request.headers.authorization, request, context);
      if (request.user !== undefined && request.user.userId !== session.userId) {
        delete request.user;
        // The provider has renewed it with another person's token, and would do so for ever.
        await this.signIn?.discard(request);
        throw new InvalidToken();
      }
    } catch (error) {
      request.authenticationError = error as Error;
    }
  }

  private async byToken(
    authorization: string,
    request: AuthenticatedRequest,
    context: ExecutionContext,
  ): Promise<void> {
    try {
      const known = await this.knownTokens.callerOf(authorization);
      if (known === undefined) await super.canActivate(context);
      else request.user = known;
    } catch (error) {
      request.authenticationError = error as Error;
    }
  }

  override handleRequest<User = Caller>(
    error: unknown,
    user: User | false,
    info: unknown,
    context: ExecutionContext,
  ): User {
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (user) return user;
    // `info` says why the token was refused; an `error` beside it is a fault of ours and must not look like a bad token.
    request.authenticationError = (error as Error | null) ?? refusal(info, request.headers.authorization);
    // Passport's guard writes what this returns to request.user: no caller.
    return undefined as User;
  }

  /** Digests of equal length are compared in constant time, so the answer's time says nothing about the key. */
  private isInternalKey(key: string): boolean {
    return this.internalKeyDigest !== undefined && timingSafeEqual(digest(key), this.internalKeyDigest);
  }
}

/** Generated clients that keep one key for all headers send it in both: its form says which key it is. */
function keysOf({ headers }: AuthenticatedRequest): { internalKey?: string; apiKey?: string } {
  const internalKey = headers['x-internal-api-key']?.toString();
  const apiKey = headers['x-api-key']?.toString();
  if (internalKey !== apiKey || apiKey === undefined) return { internalKey, apiKey };
  return isApiKey(apiKey) ? { apiKey } : { internalKey };
}

/** Of a header that comes twice Node gives the first, and a proxy before us may have looked at the last. */
function isOnce({ rawHeaders }: AuthenticatedRequest, name: string): boolean {
  let times = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index] as string;
    if (header.length === name.length && header.toLowerCase() === name) times++;
  }
  return times === 1;
}

/** A trusted service that has not yet named a user. */
const TRUSTED_SERVICE: Caller = {
  kind: 'internal',
  userId: '',
  accountId: '',
  role: 'user',
  actor: INTERNAL_ACTOR,
  isTrustedService: true,
  apiKeyId: null,
  permissions: null,
};

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
