import { createHash } from 'node:crypto';
import type { OnApplicationShutdown } from '@nestjs/common';
import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { NextFunction, Request, Response } from 'express';
import type { AuthenticatedRequest } from '../http/caller.js';
import type { TracingConfig } from '../../config/env.js';
import { VERSION } from '../../config/version.js';
import { servedRequest, type TraceIds } from './trace-ids.js';
import type { Tracing } from './tracing.js';

/** Spans that wait to be sent; what comes beyond is dropped, so that a collector which is away costs no memory. */
const QUEUE_SPANS = 2048;
const BATCH_SPANS = 512;
const DELAY_MILLISECONDS = 1000;
const EXPORT_MILLISECONDS = 5000;
/** For what is left when the service stops. */
const SHUTDOWN_MILLISECONDS = 3000;
/** Asked every few seconds; a trace of each would bury the others. */
const UNTRACED = /^\/(api\/)?(health|metrics)(\/|$)/;

interface ServedRequest extends TraceIds {
  readonly context: Context;
}

const readHeader = {
  get: (headers: Request['headers'], name: string) => headers[name],
  keys: (headers: Request['headers']) => Object.keys(headers),
};

/**
 * Spans by hand, sent in batches in the background. What is asked for and by whom is in none of them. The instrumentations
 * for http and pg would have to be loaded before both modules, and put paths with ids and statements into spans.
 */
export class OtlpTracing implements Tracing, OnApplicationShutdown {
  private readonly provider: TracerProvider;
  private readonly tracer;
  private readonly propagator = new W3CTraceContextPropagator();

  constructor(config: TracingConfig) {
    const exporter = new OTLPTraceExporter({
      url: `${config.endpoint}/v1/traces`,
      timeoutMillis: EXPORT_MILLISECONDS,
    });
    this.provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': config.serviceName, 'service.version': VERSION }),
      spanProcessors: [
        new BatchSpanProcessor({
          exporter,
          maxQueueSize: QUEUE_SPANS,
          maxExportBatchSize: BATCH_SPANS,
          scheduledDelayMillis: DELAY_MILLISECONDS,
          exportTimeoutMillis: EXPORT_MILLISECONDS,
        }),
      ],
    });
    this.tracer = this.provider.getTracer('accounting-service', VERSION);
  }

  readonly observeRequest = (request: Request, response: Response, next: NextFunction): void => {
    if (UNTRACED.test(request.path)) return next();
    const parent = this.propagator.extract(ROOT_CONTEXT, request.headers, readHeader);
    const span = this.tracer.startSpan(request.method, { kind: SpanKind.SERVER }, parent);
    const { traceId, spanId } = span.spanContext();
    const served: ServedRequest = {
      trace_id: traceId,
      span_id: spanId,
      context: trace.setSpan(parent, span),
    };
    (request as { traceIds?: TraceIds }).traceIds = { trace_id: traceId, span_id: spanId };
    response.once('close', () => endRequest(span, request as AuthenticatedRequest, response));
    servedRequest.run(served, next);
  };

  async statement<T>(name: string, work: (connected: () => void) => Promise<T>): Promise<T> {
    const served = servedRequest.getStore() as ServedRequest | undefined;
    const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': name };
    const span = this.tracer.startSpan(
      name,
      { kind: SpanKind.CLIENT, attributes },
      served?.context ?? ROOT_CONTEXT,
    );
    const begun = performance.now();
    try {
      return await work(() => span.setAttribute('accounting.pool_wait_ms', performance.now() - begun));
    } catch (error) {
      // The code alone: a message may contain what a client sent.
      span.setAttribute('error.type', (error as { code?: string }).code ?? (error as Error).name);
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }

  /** After the last request: sends what is left, as far as that goes in time. */
  async onApplicationShutdown(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((done) => (timer = setTimeout(done, SHUTDOWN_MILLISECONDS)));
    await Promise.race([this.provider.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  }
}

function endRequest(span: Span, request: AuthenticatedRequest, response: Response): void {
  const { path: route } = (request.route ?? {}) as { path?: string };
  span.setAttribute('http.request.method', request.method);
  span.setAttribute('http.response.status_code', response.statusCode);
  if (route !== undefined) {
    span.updateName(`${request.method} ${route}`);
    span.setAttribute('http.route', route);
  }
  const userId = request.user?.userId;
  if (userId)
    span.setAttribute('enduser.pseudo.id', createHash('sha256').update(userId).digest('hex').slice(0, 16));
  if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
