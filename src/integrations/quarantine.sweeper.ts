import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { PeriodicTask } from '../common/periodic-task.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { QuarantineService } from './quarantine.service.js';

/**
 * Charges events of users who have appeared since. Every instance runs it: they share the work, and an event that two of
 * them try is charged once.
 */
@Injectable()
export class QuarantineSweeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly task: PeriodicTask;

  constructor(
    private readonly quarantine: QuarantineService,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    const logger = new Logger(QuarantineSweeper.name);
    this.task = new PeriodicTask(logger, 'Quarantine sweeper', config.sweepIntervalSeconds, () =>
      this.sweep(),
    );
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.task.stop();
  }

  /** One pass. Answers what has become of the events. */
  sweep() {
    return this.quarantine.replayOfKnownUsers();
  }
}
