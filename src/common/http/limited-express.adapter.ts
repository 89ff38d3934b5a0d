import { createServer, type Server } from 'node:http';
import { ExpressAdapter } from '@nestjs/platform-express';
import { answerUnreadableRequests } from './unreadable-requests.js';

/** How often the server looks for requests that have taken too long; Node's own 30 s would double the limits. */
const CHECK_MILLISECONDS = 1000;
const HEADERS_SECONDS = 10;
/** Longer than the usual 60 s of load balancers, so that they close idle connections first and no request is lost. */
const KEEP_ALIVE_MILLISECONDS = 65_000;

/** Express on a server with limits: a client that sends slowly, or nothing, cannot keep a connection for ever. */
export class LimitedExpressAdapter extends ExpressAdapter {
  constructor(private readonly requestTimeoutSeconds: number) {
    super();
  }

  override initHttpServer(): void {
    const server = createServer(
      {
        connectionsCheckingInterval: CHECK_MILLISECONDS,
        requestTimeout: this.requestTimeoutSeconds * 1000,
        headersTimeout: Math.min(this.requestTimeoutSeconds, HEADERS_SECONDS) * 1000,
        keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
      },
      this.getInstance(),
    );
    server.setTimeout(Math.max(this.requestTimeoutSeconds * 2, 60) * 1000);
    closeWhenIdle(server);
    answerUnreadableRequests(server);
    this.setHttpServer(server);
  }
}

/**
 * A server that is being closed drops the connections that are idle at that moment only; one whose last answer goes out
 * later would be kept alive for a minute, and the shutdown would wait for it.
 */
function closeWhenIdle(server: Server): void {
  server.on('request', (_request, response) => {
    response.once('close', () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
  });
}
