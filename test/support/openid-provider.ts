import { generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type Configuration } from 'oidc-provider';

export const CLIENT_ID = 'accounting-console';
export const CLIENT_SECRET = 'nCq0l7T2oVvJ8rRzXk4mY1wB5sD9fGhE';
/** How long its access tokens are good. */
const ACCESS_SECONDS = 300;
export const AUDIENCE = 'https://accounting.example.com';

/** A real OpenID provider on this machine, at which every visitor signs in as `person`, without a password. */
export class OpenIdProvider {
  person = 'alice';
  /** What it writes into access tokens beside the usual. */
  claims: Record<string, unknown> = {};
  audience = AUDIENCE;
  refreshSeconds = 86_400;
  givesRefreshTokens = true;
  /** What its token endpoint answers instead, while it is in trouble. */
  trouble: { status: number; body: string } | undefined;
  /** How often it has given out new tokens for a refresh token. */
  renewals = 0;
  private server: Server | undefined;
  private port = 0;
  private provider: Provider | undefined;

  /** @param host this machine, by address or name */
  constructor(private readonly host: '127.0.0.1' | 'localhost' = '127.0.0.1') {}

  get issuer(): string {
    return `http://${this.host}:${this.port}`;
  }

  /** As it was in the beginning. */
  reset(): void {
    this.claims = {};
    this.audience = AUDIENCE;
    this.refreshSeconds = 86_400;
    this.givesRefreshTokens = true;
    this.renewals = 0;
    this.trouble = undefined;
  }

  /** What a service is configured with. */
  settings(publicUrl: string): Record<string, string> {
    return {
      JWT_ACCESS_SECRET: '',
      JWT_JWKS_URI: `${this.issuer}/jwks`,
      JWT_AUDIENCE: AUDIENCE,
      JWT_TOKEN_TYPE_CLAIM: 'off',
      OIDC_ISSUER: this.issuer,
      OIDC_CLIENT_ID: CLIENT_ID,
      OIDC_CLIENT_SECRET: CLIENT_SECRET,
      PUBLIC_URL: publicUrl,
    };
  }

  /** Listens; after a stop on the same port again, with everything that it knew. */
  async start(publicUrl: string): Promise<this> {
    if (this.server !== undefined) return this;
    this.server = createServer((request, response) => {
      // One that is stopped meanwhile has nowhere to answer to.
      this.answer(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => this.server?.listen(this.port, this.host, resolve));
    this.port = (this.server.address() as AddressInfo).port;
    this.provider ??= this.create(publicUrl);
    return this;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    server?.closeAllConnections();
    await new Promise((resolve) => (server === undefined ? resolve(null) : server.close(resolve)));
  }

  private create(publicUrl: string): Provider {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const provider = new Provider(this.issuer, {
      ...(this.configuration(publicUrl) as Configuration),
      jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }] },
    });
    provider.on('grant.success', ({ oidc }) => {
      if (oidc.params?.grant_type === 'refresh_token') this.renewals++;
    });
    return provider;
  }

  private configuration(publicUrl: string) {
    return {
      clients: [
        {
          client_id: CLIENT_ID,
          client_secret: CLIENT_SECRET,
          token_endpoint_auth_method: 'client_secret_post',
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: [`${publicUrl}/api/sign-in/callback`],
          post_logout_redirect_uris: [`${publicUrl}/console`],
        },
      ],
      cookies: { keys: ['a key of the provider for its own cookies'] },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      issueRefreshToken: () => Promise.resolve(this.givesRefreshTokens),
      scopes: ['openid', 'profile', 'email'],
      findAccount: (_: unknown, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
      extraTokenClaims: () => ({
        username: this.person,
        email: `${this.person}@example.com`,
        ...this.claims,
      }),
      interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
      ttl: {
        RefreshToken: () => this.refreshSeconds,
        Session: 86_400,
        Grant: 86_400,
        Interaction: 600,
        IdToken: 3600,
        AuthorizationCode: 60,
      },
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: {
          enabled: true,
          logoutSource: (context: { body: string }, form: string) => {
            context.body = `<h1>Sign out of the provider?</h1>${form}<button form="op.logoutForm" name="logout" value="yes">Yes</button>`;
          },
        },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => AUDIENCE,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: 'openid profile email',
            audience: this.audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: ACCESS_SECONDS,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    };
  }

  /** The page at which a person signs in is answered for them; everything else is the library's. */
  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.provider as Provider;
    if (this.trouble !== undefined && request.url === '/token') {
      const { status, body } = this.trouble;
      return void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    }
    if (!request.url?.startsWith('/interaction/')) return void provider.callback()(request, response);
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login') {
      return provider.interactionFinished(request, response, { login: { accountId: this.person } });
    }
    const grant = new provider.Grant({ accountId: session?.accountId, clientId: params.client_id as string });
    grant.addOIDCScope('openid profile email');
    grant.addResourceScope(AUDIENCE, 'openid profile email');
    const consent = { grantId: await grant.save() };
    await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
  }
}
