import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ExpressAdapter } from '@nestjs/platform-express';
import express, { type Express } from 'express';
import { boundBodies, boundOpenRequests } from './bounded-requests.js';
import { OpenAnswers } from './open-answers.js';
import { methodsOf } from './route-methods.js';
import { boundUnreadAnswers } from './unread-answers.js';
import { answerUnreadableRequests } from './unreadable-requests.js';

/** How often the server looks for requests that have taken too long; Node's own 30 s would double the limits. */
const CHECK_MILLISECONDS = 1000;
const HEADERS_SECONDS = 10;
/** Longer than the usual 60 s of load balancers, so that they close idle connections first and no request is lost. */
const KEEP_ALIVE_MILLISECONDS = 65_000;
/** How long clients have to leave their connections before the server is closed. */
const LEAVE_MILLISECONDS = 500;
/** How often a server that is being closed looks for connections whose last answer has gone out. */
const IDLE_MILLISECONDS = 50;
/** What this process holds of answers that their clients do not take. */
const MAXIMUM_UNREAD_BYTES = 128 * 1024 * 1024;
/** The same on one connection: several times the largest answer, and more than requests sent one behind the other need. */
const MAXIMUM_UNREAD_BYTES_OF_CONNECTION = 16 * 1024 * 1024;

/** Express on a server with limits: a client that sends or reads slowly, or not at all, cannot keep a connection for ever. */
export class LimitedExpressAdapter extends ExpressAdapter {
  private closed: Promise<void> | undefined;

  constructor(private readonly requestTimeoutSeconds: number) {
    // Before the adapter adds anything: Express makes its router with the first thing that is added. In any case a
    // user called "All" would have the path of everyone's records.
    super(express().enable('case sensitive routing'));
  }

  override initHttpServer(): void {
    const app = this.getInstance<Express>();
    boundBodies(app.request);
    const server: Server = createServer(
      {
        connectionsCheckingInterval: CHECK_MILLISECONDS,
        requestTimeout: this.requestTimeoutSeconds * 1000,
        headersTimeout: Math.min(this.requestTimeoutSeconds, HEADERS_SECONDS) * 1000,
        keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
        ...messagesOf(app),
      },
      boundOpenRequests(app, () => open),
    );
    server.setTimeout(Math.max(this.requestTimeoutSeconds * 2, 60) * 1000);
    const open = new OpenAnswers(server);
    waitForAnswers(server, open);
    boundUnreadAnswers(server, open, {
      milliseconds: this.requestTimeoutSeconds * 2000,
      bytes: MAXIMUM_UNREAD_BYTES,
      bytesOfConnection: MAXIMUM_UNREAD_BYTES_OF_CONNECTION,
    });
    answerUnreadableRequests(server, open, (path) => methodsOf(app, path));
    this.setHttpServer(server);
  }

  /** What no route takes is left to `answerOtherPaths`, which counts it. */
  override setNotFoundHandler(): void {}

  /** As above. */
  override setErrorHandler(): void {}

  /**
   * Stops taking connections. Clients get a warning first: a connection that is closed just when the next request is sent on it
   * would lose that request.
   */
  async stopListening(): Promise<void> {
    this.httpServer.prependListener('request', (_: unknown, response: ServerResponse) =>
      response.setHeader('Connection', 'close'),
    );
    await pause(LEAVE_MILLISECONDS);
    void this.close();
  }

  /**
   * Resolves when the last connection has ended. Node ends those that are idle at this moment only; one whose last answer goes
   * out later would be kept alive for a minute, and the shutdown would wait for it.
   */
  override close(): Promise<void> {
    this.closed ??= new Promise((done) => {
      const timer = setInterval(() => this.httpServer.closeIdleConnections(), IDLE_MILLISECONDS);
      this.httpServer.close(() => {
        clearInterval(timer);
        done();
      });
    });
    return this.closed;
  }
}

/**
 * Requests and responses that have Express's prototypes from the beginning. Express changes the prototype of each one
 * that it gets, which leaves the engine without any optimisation for the objects that everything is done with: a request
 * took 90 µs in place of 27 (Node 20.20, `res.json` behind Helmet), and a whole balance 286 in place of 154. What has the prototype already is left alone.
 */
function messagesOf(app: { request: object; response: object }): {
  IncomingMessage: typeof IncomingMessage;
  ServerResponse: typeof ServerResponse;
} {
  return {
    IncomingMessage: withPrototype(IncomingMessage, app.request),
    ServerResponse: withPrototype(ServerResponse, app.response),
  };
}

/** The constructor of Node's class for another prototype; Node's are functions of the old kind, which can be called. */
function withPrototype<Constructor extends new (...parameters: never[]) => object>(
  constructor: Constructor,
  prototype: object,
): Constructor {
  function construct(this: object, ...parameters: unknown[]): void {
    Reflect.apply(constructor as unknown as (...parameters: unknown[]) => void, this, parameters);
  }
  construct.prototype = prototype;
  return construct as unknown as Constructor;
}

/**
 * The limit of silence is for clients. A connection is silent too while a request is worked on, for which the work has
 * limits of its own (those of its statements), and which gets its answer.
 */
function waitForAnswers(server: Server, open: OpenAnswers): void {
  server.on('timeout', (socket: Socket) => {
    const [current] = open.of(socket);
    if (current === undefined || !current.req.complete || current.headersSent) socket.destroy();
  });
}
