import cluster from 'node:cluster';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { AggregatorRegistry } from 'prom-client';
import { RequestWindows } from '../common/http/request-windows.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import type { ToPrimary, ToWorker } from './messages.js';

/** How old the other workers' counts may be: so much longer a caller of several workers can go over its limit. */
const EXCHANGE_MILLISECONDS = 100;

/** Joins this process to the other workers (WEB_CONCURRENCY); alone it does nothing. */
@Injectable()
export class WorkerLink implements OnModuleInit, OnModuleDestroy {
  private timer: NodeJS.Timeout | undefined;
  private nextRequest = 0;
  private readonly waiting = new Map<number, (text: string) => void>();

  constructor(
    private readonly windows: RequestWindows,
    private readonly metrics: Metrics,
  ) {}

  onModuleInit(): void {
    if (!cluster.isWorker) return;
    AggregatorRegistry.setRegistries([this.metrics.registry]);
    // Answers the other process when it asks for this one's metrics.
    new AggregatorRegistry();
    process.on('message', this.hear);
    this.timer = setInterval(() => this.exchange(), EXCHANGE_MILLISECONDS);
    this.timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
    process.off('message', this.hear);
  }

  /** What all workers have counted together. */
  processMetrics(): Promise<string> {
    if (!cluster.isWorker) return this.metrics.registry.metrics();
    const request = this.nextRequest++;
    return new Promise((done) => {
      this.waiting.set(request, done);
      this.tell({ type: 'metrics', request });
    });
  }

  private exchange(): void {
    const counts = this.windows.nearLimit();
    if (counts.length > 0) this.tell({ type: 'counts', counts });
  }

  private tell(message: ToPrimary): void {
    if (process.connected) process.send?.(message);
  }

  private readonly hear = (message: ToWorker): void => {
    if (message.type === 'counts') this.windows.learn(message.counts);
    if (message.type === 'metrics') {
      this.waiting.get(message.request)?.(message.text);
      this.waiting.delete(message.request);
    }
  };
}
