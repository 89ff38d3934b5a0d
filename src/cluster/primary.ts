import cluster, { type Worker } from 'node:cluster';
import type { Logger } from 'pino';
import { AggregatorRegistry, type PrometheusContentType } from 'prom-client';
import { monotonicMilliseconds } from '../common/monotonic.js';
import { SharedCounts } from './shared-counts.js';
import type { ToPrimary, ToWorker } from './messages.js';

/** A worker that dies sooner after its start makes the next one wait. */
const HEALTHY_MILLISECONDS = 10_000;
const RESTART_PAUSE_MILLISECONDS = 1000;

export interface Workers {
  /** The port that all of them listen on. */
  port: number;
  /** Ends them by SIGTERM; resolves when all are gone. */
  stop(): Promise<void>;
}

/**
 * One process for each core behind one port. The first of them alone sweeps. A worker that dies is replaced; requests
 * that it had under way are lost with their connections, as with any process that dies, and their retries are safe.
 *
 * @param databaseUrl connection string of the service's role on a migrated database
 * @throws Error when a worker ends before it listens
 */
export async function startWorkers(count: number, databaseUrl: string, logger: Logger): Promise<Workers> {
  const counts = new SharedCounts();
  const metrics = new AggregatorRegistry();
  let stopping = false;
  // A worker that does not end by SIGTERM does not outlive this process.
  process.once('exit', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
  });

  const fork = (isFirst: boolean): Promise<number> => {
    const startedAt = monotonicMilliseconds();
    const worker = cluster.fork({
      DATABASE_URL: databaseUrl,
      // The schema is migrated; what a worker is not given, it cannot leak.
      MIGRATION_DATABASE_URL: '',
      ...(isFirst ? {} : { SWEEP_INTERVAL_SECONDS: '0' }),
    });
    worker.on('message', (message: ToPrimary) => answer(worker, message, counts, metrics));
    worker.on('exit', (code, signal) => {
      counts.forget(worker.id);
      if (stopping) return;
      logger.error({ context: 'cluster', worker: worker.id, code, signal }, 'a worker has ended');
      const pause =
        monotonicMilliseconds() - startedAt < HEALTHY_MILLISECONDS ? RESTART_PAUSE_MILLISECONDS : 0;
      setTimeout(() => {
        if (!stopping) fork(isFirst).catch(() => undefined);
      }, pause);
    });
    return new Promise((listening, fail) => {
      worker.once('listening', ({ port }) => listening(port));
      worker.once('exit', (code) => fail(new Error(`A worker ended with ${code} before it listened`)));
    });
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((ended) => {
            worker.once('exit', () => ended());
            worker.process.kill('SIGTERM');
          }),
      ),
    );
  };

  try {
    const ports = await Promise.all(Array.from({ length: count }, (_, index) => fork(index === 0)));
    return { port: ports[0] as number, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function answer(
  worker: Worker,
  message: ToPrimary,
  counts: SharedCounts,
  metrics: Pick<AggregatorRegistry<PrometheusContentType>, 'clusterMetrics'>,
): void {
  const say = (told: ToWorker) => {
    if (worker.isConnected()) worker.send(told);
  };
  if (message.type === 'counts') say({ type: 'counts', counts: counts.exchange(worker.id, message.counts) });
  if (message.type === 'metrics') {
    const { request } = message;
    metrics.clusterMetrics().then(
      (text) => say({ type: 'metrics', request, text }),
      () => say({ type: 'metrics', request, text: '' }),
    );
  }
}
