import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import { pinoHttp } from 'pino-http';
import type { AuthenticatedRequest } from '../../auth/caller.js';
import { servedRequest, type TraceIds } from '../tracing/trace-ids.js';

const REQUEST_ID = /^[A-Za-z0-9_-]{8,64}$/;

/** JSON lines on standard output. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}

/** Parts of Nest that tell at every start what the code says already. */
const CHATTY = new Set<unknown>([
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestFactory',
  'NestApplication',
]);

/** Nest's own messages in the same form. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}
  log = (message: unknown, context?: string) =>
    this.write(CHATTY.has(context) ? 'debug' : 'info', message, context);
  error = (message: unknown, ...rest: unknown[]) => this.write('error', message, rest[rest.length - 1]);
  warn = (message: unknown, context?: string) => this.write('warn', message, context);
  debug = (message: unknown, context?: string) => this.write('debug', message, context);
  verbose = (message: unknown, context?: string) => this.write('trace', message, context);
  fatal = (message: unknown, context?: string) => this.write('fatal', message, context);

  private write(
    level: 'info' | 'error' | 'warn' | 'debug' | 'trace' | 'fatal',
    message: unknown,
    context: unknown,
  ): void {
    const facts = { context, ...traceIds(servedRequest.getStore()) };
    if (typeof message === 'object' && message !== null) this.logger[level]({ ...facts, ...message });
    else this.logger[level](facts, String(message));
  }
}

/**
 * One line per request: id, method, path without its query, status, milliseconds, caller. Never a header, body, key or
 * token. A caller may give the id in `X-Request-Id`; the answer carries it either way.
 */
export function requestLogging(logger: Logger) {
  return pinoHttp({
    logger,
    genReqId: (request, response) => {
      const given = request.headers['x-request-id'];
      const id = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
      response.setHeader('X-Request-Id', id);
      return id;
    },
    quietReqLogger: true,
    customLogLevel: (_request, response, error) =>
      error || response.statusCode >= 500 ? 'error' : isHealth(_request) ? 'debug' : 'info',
    customSuccessMessage: () => 'request',
    customErrorMessage: () => 'request',
    customAttributeKeys: { responseTime: 'milliseconds', reqId: 'requestId' },
    serializers: { req: () => undefined, res: () => undefined, err: (error: Error) => error.message },
    customProps: (request, response) => requestFacts(request, response),
  });
}

function requestFacts(request: IncomingMessage, response: ServerResponse): object {
  // Props are asked for at the start too, when there is nothing to tell yet.
  if (!response.writableEnded && !response.destroyed) return {};
  return {
    method: request.method,
    path: pathOf(request),
    status: response.statusCode,
    caller: (request as unknown as AuthenticatedRequest).user?.actor,
    ...traceIds((request as { traceIds?: TraceIds }).traceIds),
  };
}

/** Those two alone, for whoever looks from a log line for its trace. */
function traceIds(ids: TraceIds | undefined): Partial<TraceIds> {
  return ids === undefined ? {} : { trace_id: ids.trace_id, span_id: ids.span_id };
}

function pathOf(request: IncomingMessage): string {
  return (
    ((request as { originalUrl?: string }).originalUrl ?? request.url ?? '').split('?')[0]?.slice(0, 200) ??
    ''
  );
}

function isHealth(request: IncomingMessage): boolean {
  return pathOf(request).endsWith('/health') || pathOf(request).endsWith('/health/ready');
}
