import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';
import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import { API_KEY_START } from './api-key-format.js';
import type { AuthenticatedRequest } from './caller.js';
import { servedRequest, type TraceIds } from '../tracing/trace-ids.js';

const REQUEST_ID = /^[A-Za-z0-9_-]{8,64}$/;
const HEALTH = /\/health(\/ready)?$/;

/** Lines are written together when so many bytes have gathered, or so many milliseconds have passed. */
const LOG_BUFFER_BYTES = 4096;
const LOG_FLUSH_MILLISECONDS = 200;

/** What waits for a reader that has stalled; further lines are left out. */
const MAXIMUM_WAITING_BYTES = 8_388_608;
/** How long the end of the process waits for its reader. */
const LAST_FLUSH_MILLISECONDS = 1000;

/**
 * JSON lines on standard output. They do not wait for their reader: written at once, a request would wait for each
 * line, and 100 ms and more for a pipe that is full. At the end of the process nothing is left in the buffer, unless
 * its reader has stalled; what a SIGKILL takes with it are the lines of the last moment.
 */
export function createLogger(level: string): Logger {
  let flushUntil = Infinity;
  const destination = pino.destination({
    dest: 1,
    sync: false,
    minLength: LOG_BUFFER_BYTES,
    maxLength: MAXIMUM_WAITING_BYTES,
    retryEAGAIN: () => performance.now() < flushUntil,
  });
  const flushSync = destination.flushSync.bind(destination);
  // Called at the end of the process, and would otherwise try for ever.
  destination.flushSync = () => {
    flushUntil = performance.now() + LAST_FLUSH_MILLISECONDS;
    try {
      flushSync();
    } catch {
      // Nothing can be said of it: the log itself has no reader.
    } finally {
      flushUntil = Infinity;
    }
  };
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  let leftOut = 0;
  destination.on('drop', () => leftOut++);
  destination.on('drain', () => {
    if (leftOut === 0) return;
    logger.warn({ context: 'log', lines: leftOut }, 'log lines were left out: their reader had stalled');
    leftOut = 0;
  });
  setInterval(() => destination.flush(), LOG_FLUSH_MILLISECONDS).unref();
  return logger;
}

/** Parts of Nest that log at every start what the code says already. */
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
  return (request: Request, response: Response, next: NextFunction): void => {
    const given = request.headers['x-request-id'];
    const requestId = isRequestId(given) ? given : randomUUID();
    (request as { id?: string }).id = requestId;
    response.setHeader('X-Request-Id', requestId);
    const startedAt = performance.now();
    response.once('close', () => {
      const path = pathOf(request);
      const level = response.statusCode >= 500 ? 'error' : HEALTH.test(path) ? 'debug' : 'info';
      if (!logger.isLevelEnabled(level)) return;
      const facts = {
        requestId,
        method: request.method,
        path,
        status: response.statusCode,
        caller: (request as AuthenticatedRequest).user?.actor,
        milliseconds: Math.round(performance.now() - startedAt),
        // Only then: the client has gone before it had its answer.
        ...(response.writableFinished ? {} : { isAborted: true }),
        ...traceIds((request as { traceIds?: TraceIds }).traceIds),
      };
      logger[level](facts, 'request');
    });
    next();
  };
}

/** A key or a token is no id: the log would show it. */
function isRequestId(given: unknown): given is string {
  return typeof given === 'string' && REQUEST_ID.test(given) && withoutKeys(given) === given;
}

/** Those two alone, to find the trace of a log line. */
function traceIds(ids: TraceIds | undefined): Partial<TraceIds> {
  return ids === undefined ? {} : { trace_id: ids.trace_id, span_id: ids.span_id };
}

/** What stands before the path of an absolute address: it may have a password in it. */
const ORIGIN = /^[a-z]+:\/\/[^/]*/i;

function pathOf(request: Request): string {
  const path = request.originalUrl.split('?')[0]?.replace(ORIGIN, '') || '/';
  const plain = path.includes('%') ? decoded(path) : path;
  const masked = withoutKeys(plain);
  return (masked === plain ? path : masked).slice(0, 200);
}

/**
 * Escapes of ASCII characters alone, of which keys are made: another that is wrong must not hide a key. An escape that is
 * escaped again, however often, is the same.
 */
function decoded(path: string): string {
  const asciiOf = (_: string, hex: string) => String.fromCharCode(parseInt(hex, 16));
  const once = (text: string) => text.replace(/%(?:25)*([0-7][0-9a-f])/gi, asciiOf);
  return once(once(path));
}

/** API keys, webhook secrets and tokens that stand where they do not belong, each but for what it begins with. */
const KEYS = new RegExp(`(${API_KEY_START}|whsec_|eyJ)[A-Za-z0-9_\\-+/=]{8,}(?:\\.[A-Za-z0-9_-]*)*`, 'g');

/** A text for the log without the keys and tokens in it. */
export function withoutKeys(text: string): string {
  return text.replace(KEYS, '$1…');
}
