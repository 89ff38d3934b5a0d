import type { RequestHandler } from 'express';

/** Traces for OpenTelemetry. Nothing of it is loaded unless an exporter is configured. */
export interface Tracing {
  /** Express middleware: one span for each request, a child of the caller's `traceparent`. */
  readonly observeRequest: RequestHandler;
  /**
   * One span for one call of the database.
   *
   * @param work is given a function to call when it has got its connection
   */
  statement<T>(name: string, work: (connected: () => void) => Promise<T>): Promise<T>;
}

/** Injection token of the `Tracing`; null when it is off. */
export const TRACING = Symbol('tracing');
