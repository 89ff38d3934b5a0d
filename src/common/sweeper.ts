import { Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PeriodicTask } from './periodic-task.js';

/**
 * What runs again and again as long as the service does. Every instance may have it: who extends it sees to it that two
 * at once do no harm.
 */
export abstract class Sweeper implements OnApplicationBootstrap, OnModuleDestroy {
  protected readonly logger = new Logger(this.constructor.name);
  private readonly task: PeriodicTask;

  /** @param intervalSeconds between two passes; 0: it never runs by itself */
  protected constructor(name: string, intervalSeconds: number) {
    this.task = new PeriodicTask(this.logger, name, intervalSeconds, (stopped) => this.sweep(stopped));
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.task.stop();
  }

  /**
   * One pass.
   *
   * @param stopped aborts when the service ends: the pass then leaves the rest to a later one
   */
  abstract sweep(stopped?: AbortSignal): Promise<unknown>;
}
