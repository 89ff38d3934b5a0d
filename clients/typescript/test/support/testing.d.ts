declare module '*/testing/provider.js' {
  export interface Provider {
    url: string;
    billed: Map<string, object>;
    stop(): Promise<void>;
  }
  export function startProvider(options?: { port?: number }): Promise<Provider>;
}

declare module '*/testing/service.js' {
  export interface Service {
    url: string;
    internalApiKey: string;
    adminToken: string;
    jwtSecret: string;
    pid: number;
    output(): string;
    stop(): Promise<void>;
  }
  export interface ServiceOptions {
    port?: number;
    data?: string;
    leaseSeconds?: number;
    sweepSeconds?: number;
    env?: Record<string, string>;
  }
  export function startService(options?: ServiceOptions): Promise<Service>;
  export function accessToken(secret: string, claims: { sub: string; role?: string }): string;
}
