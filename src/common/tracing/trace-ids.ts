import { AsyncLocalStorage } from 'node:async_hooks';

/** What a log line says of the trace it belongs to; named as OpenTelemetry names them in logs. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** The request that is being served; empty where nothing is traced. */
export const servedRequest = new AsyncLocalStorage<TraceIds>();
