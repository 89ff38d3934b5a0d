import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type jwt from 'jsonwebtoken';
import type { TestService } from './service.js';
import { accessToken } from './tokens.js';

export interface SigningKey {
  kid: string;
  algorithm: 'RS256' | 'ES256';
  publicKey: KeyObject;
  privateKey: KeyObject;
}

export function signingKey(kid: string, algorithm: SigningKey['algorithm'] = 'ES256'): SigningKey {
  const pair =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { kid, algorithm, ...pair };
}

/** A token of that key, as an authentication service signs it. */
export function tokenOf(key: SigningKey, options: jwt.SignOptions = {}, sub = 'alice'): string {
  return accessToken({ sub }, { algorithm: key.algorithm, keyid: key.kid, ...options }, key.privateKey);
}

export function pemOf(key: SigningKey): string {
  return key.publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

export function jwkOf(key: SigningKey, more: object = {}): object {
  return {
    ...key.publicKey.export({ format: 'jwk' }),
    kid: key.kid,
    use: 'sig',
    alg: key.algorithm,
    ...more,
  };
}

const JSON_TYPE = { 'content-type': 'application/json' };

/** The key endpoint of an authentication service, on this machine. */
export class JwksServer {
  requests = 0;
  private server: Server | undefined;
  private port = 0;
  private answer: (response: ServerResponse) => unknown = () => undefined;

  get uri(): string {
    return `http://127.0.0.1:${this.port}/.well-known/jwks.json`;
  }

  publish(...keys: object[]): void {
    this.answerWith(200, JSON.stringify({ keys }));
  }

  /** Something that is no key set. */
  answerWith(status: number, body: string): void {
    this.answerBy((response) => response.writeHead(status, JSON_TYPE).end(body));
  }

  /** An answer that is cut off, slow or without end. */
  answerBy(answer: (response: ServerResponse) => unknown): void {
    this.answer = answer;
  }

  /** Listens; after a stop on the same port again. */
  async start(): Promise<this> {
    this.server = createServer((_request, response) => {
      this.requests++;
      this.answer(response);
    });
    await new Promise<void>((resolve) => this.server?.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A key server that publishes these keys, and an instance that takes the tokens signed by them. */
export async function startVerifier(service: TestService, ...published: SigningKey[]) {
  const keys = await new JwksServer().start();
  keys.publish(...published.map((key) => jwkOf(key)));
  const verifier = await service.another({ JWT_ACCESS_SECRET: '', JWT_JWKS_URI: keys.uri });
  const close = async () => {
    await verifier.close();
    await keys.stop();
  };
  return { keys, verifier, close };
}
