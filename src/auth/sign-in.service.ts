import { randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { Request, Response } from 'express';
import { Database } from '../common/database/database.js';
import { ServiceError } from '../common/errors/service-error.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig, SignInConfig } from '../config/env.js';
import { OperationClosed } from './auth.errors.js';
import { consoleAddress, Cookie, cookieNames, isFromConsole } from './console-request.js';
import { type ConsoleSession, ConsoleSessions } from './console-sessions.js';
import { IdentityProvider, type ProviderTokens, SignInRefused, stateOf } from './identity-provider.js';
import { JwtStrategy } from './jwt.strategy.js';

/** How long a person may take at the provider. */
const ATTEMPT_SECONDS = 600;
const ATTEMPT_COOKIE = 'accounting-sign-in-';
/** Of one browser at a time. Their cookies come with each request, and Node.js refuses headers of more than 16 kB. */
const MAXIMUM_ATTEMPTS = 5;

/** Why a sign-in did not succeed, for the console, which has the words for it. */
type SignInProblem = 'expired' | 'refused' | 'rejected' | 'unavailable';

/** People sign in to the console at an OpenID provider and get a session; it exists only where one is configured. */
@Injectable()
export class SignInService implements OnModuleDestroy {
  private readonly logger = new Logger(SignInService.name);
  private readonly config: SignInConfig;
  private readonly provider: IdentityProvider;
  private readonly sessions: ConsoleSessions;
  private readonly sessionCookie: Cookie;

  constructor(
    @Inject(APP_CONFIG) { signIn, jwt }: AppConfig,
    database: Database,
    private readonly tokens: JwtStrategy,
  ) {
    this.config = signIn as SignInConfig;
    this.provider = new IdentityProvider(this.config, jwt.clockToleranceSeconds);
    this.sessions = new ConsoleSessions(database, this.provider, this.config.sessionHours);
    this.sessionCookie = new Cookie(
      this.config,
      'accounting-session',
      'strict',
      this.config.sessionHours * 3600,
    );
  }

  /** Renewals under way end first: what the provider has given out for one would be lost. */
  async onModuleDestroy(): Promise<void> {
    await this.sessions.settle();
  }

  /** Sends the browser to the provider, and keeps there where it is to come back to. */
  async begin(request: Request, response: Response): Promise<void> {
    const address = consoleAddress(request.query.returnTo, this.config.publicUrl);
    this.limitAttempts(request, response);
    const secret = randomBytes(32).toString('base64url');
    try {
      const url = await this.provider.authorizationUrl(secret);
      this.attemptCookie(stateOf(secret)).set(
        response,
        `${secret}.${Buffer.from(address).toString('base64url')}`,
      );
      response.redirect(url);
    } catch (error) {
      this.fail(response, address, error);
    }
  }

  /**
   * Takes the browser back from the provider. The attempt is of this browser, by its cookie, which serves once; the
   * access token passes the checks of every other; and the session is a new one, whatever cookie the browser had.
   */
  async complete(request: Request, response: Response): Promise<void> {
    const { state } = request.query;
    const cookie = this.attemptCookie(typeof state === 'string' ? state : '');
    const [secret = '', address = ''] = (cookie.of(request) ?? '').split('.');
    const returnTo = consoleAddress(Buffer.from(address, 'base64url').toString(), this.config.publicUrl);
    if (secret === '') return this.redirect(response, returnTo, 'expired');
    cookie.clear(response);
    try {
      const query = new URL(request.originalUrl, this.config.publicUrl).search;
      const tokens = await this.provider.exchange(query, secret);
      const { userId } = await this.tokens.callerOf(tokens.access);
      await this.endSession(request);
      this.sessionCookie.set(response, await this.sessions.begin(userId, tokens));
      this.redirect(response, returnTo);
    } catch (error) {
      this.fail(response, returnTo, error);
    }
  }

  /** Signs out here, and says where the browser goes to sign out at the provider as well. @throws OperationClosed */
  async end(request: Request, response: Response): Promise<{ continueAt: string | null }> {
    if (!isFromConsole(request, this.config.publicUrl)) throw new OperationClosed();
    const ended = await this.endSession(request);
    this.sessionCookie.clear(response);
    return { continueAt: ended === undefined ? null : await this.provider.endUrl(ended) };
  }

  /**
   * The session that a request is of: one of the console itself, with the cookie. Undefined for every other request, so
   * that a cookie which a browser adds to the request of another page counts for nothing.
   *
   * @throws TokenExpired, ProviderUnavailable
   */
  async sessionOf(request: Request): Promise<ConsoleSession | undefined> {
    const secret = this.sessionCookie.of(request);
    if (secret === undefined || !isFromConsole(request, this.config.publicUrl)) return undefined;
    return this.sessions.find(secret);
  }

  /** Ends the session of a request: it has no answer for its person any more. */
  async discard(request: Request): Promise<void> {
    await this.endSession(request);
  }

  private async endSession(request: Request): Promise<ProviderTokens | undefined> {
    const secret = this.sessionCookie.of(request);
    return secret === undefined ? undefined : this.sessions.end(secret);
  }

  /** Ends the attempts of a browser that has begun too many. */
  private limitAttempts(request: Request, response: Response): void {
    const states = cookieNames(request).flatMap((name) => name.split(ATTEMPT_COOKIE)[1] ?? []);
    if (states.length < MAXIMUM_ATTEMPTS) return;
    for (const state of states) this.attemptCookie(state).clear(response);
  }

  /** One for each attempt, so that two tabs do not disturb each other. `lax`: the provider sends the person here. */
  private attemptCookie(state: string): Cookie {
    return new Cookie(
      this.config,
      `${ATTEMPT_COOKIE}${state.replace(/[^\w-]/g, '').slice(0, 12)}`,
      'lax',
      ATTEMPT_SECONDS,
    );
  }

  /** @throws the error, where it is no answer about this sign-in */
  private fail(response: Response, returnTo: string, error: unknown): void {
    const isAnswer = error instanceof SignInRefused || error instanceof ServiceError;
    if (!isAnswer) throw error;
    if (error instanceof ServiceError && error.status !== 401)
      return this.redirect(response, returnTo, 'unavailable');
    const isRefused = error instanceof SignInRefused;
    // The operator has to know what is wrong with the provider's tokens; the claims are named, never repeated.
    const claims = isRefused ? [] : (error.details.errors ?? []);
    const reasons = [error.message, ...claims.map(({ field, message }) => `${field} ${message}`)].join('; ');
    this.logger.warn(
      isRefused
        ? `The OpenID provider refused a sign-in: ${reasons}`
        : `Its access token is refused: ${reasons}`,
    );
    this.redirect(response, returnTo, isRefused ? 'refused' : 'rejected');
  }

  private redirect(response: Response, address: string, problem?: SignInProblem): void {
    const url = new URL(address, this.config.publicUrl);
    if (problem !== undefined) url.searchParams.set('signInProblem', problem);
    response.redirect(url.toString());
  }
}
