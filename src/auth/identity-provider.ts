import { createHmac } from 'node:crypto';
import { Logger } from '@nestjs/common';
import * as oidc from 'openid-client';
import { boundedFetch } from '../common/http/bounded-fetch.js';
import type { AppConfig, SignInConfig } from '../config/env.js';
import { ProviderUnavailable } from './auth.errors.js';

const DEADLINE_MILLISECONDS = 5000;
const MAXIMUM_BYTES = 1_000_000;
export const CALLBACK_PATH = '/api/sign-in/callback';

/** What the provider gives out for a person. */
export interface ProviderTokens {
  readonly access: string;
  /** Undefined: the session ends with the access token. */
  readonly refresh: string | undefined;
  /** Says at sign-out whose session ends at the provider. */
  readonly id: string | undefined;
}

/** The provider has answered, and the answer is no. */
export class SignInRefused extends Error {}

/**
 * The OpenID provider: authorization code with PKCE, state and nonce. Everything of one attempt to sign in follows from
 * its secret, which only the browser that began it has.
 */
export class IdentityProvider {
  private readonly logger = new Logger(IdentityProvider.name);
  private discovered: Promise<oidc.Configuration> | undefined;

  constructor(
    private readonly signIn: SignInConfig,
    private readonly clockToleranceSeconds: AppConfig['jwt']['clockToleranceSeconds'],
  ) {}

  /** Where the browser goes to sign in. @throws ProviderUnavailable */
  async authorizationUrl(secret: string): Promise<string> {
    const { scope, parameters, publicUrl } = this.signIn;
    return this.ask(async (provider) =>
      oidc
        .buildAuthorizationUrl(provider, {
          ...parameters,
          redirect_uri: publicUrl + CALLBACK_PATH,
          scope,
          state: stateOf(secret),
          nonce: partOf(secret, 'nonce'),
          code_challenge: await oidc.calculatePKCECodeChallenge(partOf(secret, 'verifier')),
          code_challenge_method: 'S256',
        })
        .toString(),
    );
  }

  /**
   * The tokens for the code in the address that the provider has sent the browser back to.
   *
   * @param query of that address, with its question mark
   * @throws SignInRefused, ProviderUnavailable
   */
  exchange(query: string, secret: string): Promise<ProviderTokens> {
    return this.ask(async (provider) =>
      tokensOf(
        await oidc.authorizationCodeGrant(provider, new URL(CALLBACK_PATH + query, this.signIn.publicUrl), {
          expectedState: stateOf(secret),
          expectedNonce: partOf(secret, 'nonce'),
          pkceCodeVerifier: partOf(secret, 'verifier'),
          idTokenExpected: true,
        }),
      ),
    );
  }

  /** @throws SignInRefused, ProviderUnavailable */
  renew({ refresh = '', id }: ProviderTokens): Promise<ProviderTokens> {
    return this.ask(async (provider) => {
      const next = tokensOf(await oidc.refreshTokenGrant(provider, refresh));
      // A provider need not give out another refresh token or another ID token.
      return { access: next.access, refresh: next.refresh ?? refresh, id: next.id ?? id };
    }, isRenewalRefused);
  }

  /** Where the browser goes to sign out at the provider as well; null where it has no such page, or does not answer. */
  async endUrl(tokens: ProviderTokens): Promise<string | null> {
    const provider = await this.discover().catch(() => undefined);
    if (provider?.serverMetadata().end_session_endpoint === undefined) return null;
    const url = oidc.buildEndSessionUrl(provider, {
      post_logout_redirect_uri: `${this.signIn.publicUrl}/console`,
    });
    if (tokens.id !== undefined) url.searchParams.set('id_token_hint', tokens.id);
    return url.toString();
  }

  private async ask<Answer>(
    question: (provider: oidc.Configuration) => Promise<Answer>,
    isRefused = isRefusal,
  ): Promise<Answer> {
    try {
      return await question(await this.discover());
    } catch (error) {
      if (isRefused(error)) throw new SignInRefused(reasonOf(error as Error));
      this.logger.warn(`The OpenID provider gave no usable answer: ${reasonOf(error as Error)}`);
      throw new ProviderUnavailable();
    }
  }

  /** What does not succeed is tried again by the next request. */
  private discover(): Promise<oidc.Configuration> {
    this.discovered ??= this.discoverNow().catch((error: unknown) => {
      this.discovered = undefined;
      throw error;
    });
    return this.discovered;
  }

  private async discoverNow(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.signIn;
    const provider = await oidc.discovery(
      new URL(issuer),
      clientId,
      { [oidc.clockTolerance]: this.clockToleranceSeconds },
      // The body is what most providers expect; those that do not list it expect the header.
      (server, client, body, headers) => {
        const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
        const authenticate =
          clientSecret === undefined
            ? oidc.None()
            : methods.includes('client_secret_post')
              ? oidc.ClientSecretPost(clientSecret)
              : oidc.ClientSecretBasic(clientSecret);
        return authenticate(server, client, body, headers);
      },
      {
        [oidc.customFetch]: fetchBounded,
        // Only an issuer on this machine may be one of http (OIDC_ISSUER).
        execute: issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : [],
      },
    );
    return provider;
  }
}

/** What the provider gives back unchanged, by which an answer is known to be of the attempt that this browser began. */
export const stateOf = (secret: string) => partOf(secret, 'state');

/** 43 characters, as long as a PKCE verifier must be. None of them says anything of another. */
function partOf(secret: string, name: 'state' | 'nonce' | 'verifier'): string {
  return createHmac('sha256', secret).update(name).digest('base64url');
}

function tokensOf({
  access_token: access,
  refresh_token: refresh,
  id_token: id,
}: oidc.TokenEndpointResponse) {
  return { access, refresh, id };
}

/**
 * Whether the provider itself has refused, or its answer is not of this attempt. A provider in trouble (no answer, status
 * 5xx, something that is no JSON) has refused nothing.
 */
function isRefusal(error: unknown): boolean {
  if (error instanceof oidc.AuthorizationResponseError) return true;
  if (error instanceof oidc.ResponseBodyError) return error.status < 500 && error.status !== 429;
  const { code } = error as { code?: string };
  return error instanceof oidc.ClientError && REFUSALS.has(code ?? '');
}

/** Whether the provider has ended the session: by its answer about the refresh token itself. */
const isRenewalRefused = (error: unknown): boolean =>
  error instanceof oidc.ResponseBodyError ? ENDED.has(error.error) : isRefusal(error) && !isUnreadable(error);

/** RFC 6749 5.2, and OpenID Connect Core 3.1.2.6 where the person has to sign in again. */
const ENDED = new Set(['invalid_grant', 'login_required', 'interaction_required', 'consent_required']);

const isUnreadable = (error: unknown) => (error as { code?: string }).code === 'OAUTH_INVALID_RESPONSE';

/** Of openid-client: an answer whose state, nonce, issuer, audience or times are not those of the attempt. */
const REFUSALS = new Set([
  'OAUTH_INVALID_RESPONSE',
  'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  'OAUTH_JWT_TIMESTAMP_CHECK_FAILED',
]);

/** For the log: codes and the library's own words, never what the provider has sent. */
function reasonOf(error: Error): string {
  const {
    error: answer,
    code,
    cause,
  } = error as { error?: string; code?: string; cause?: { code?: string } };
  return [answer ?? error.message, code, cause?.code].filter(Boolean).join(', ');
}

/** Of the library's requests, with a deadline and a limit that its own fetch does not keep. */
const fetchBounded: oidc.CustomFetch = async (url, { method, headers, body }) => {
  const { status, contentType, text } = await boundedFetch(url, {
    method: method as 'GET' | 'POST',
    headers,
    body: body instanceof URLSearchParams ? body.toString() : '',
    deadlineMilliseconds: DEADLINE_MILLISECONDS,
    maximumBytes: MAXIMUM_BYTES,
  });
  // No body belongs to these, and Response refuses one.
  const isEmpty = [101, 204, 205, 304].includes(status);
  return new Response(isEmpty ? null : text, { status, headers: { 'content-type': contentType } });
};
