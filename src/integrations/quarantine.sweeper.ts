import { Inject, Injectable } from '@nestjs/common';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { QuarantineService } from './quarantine.service.js';

/**
 * Charges events of users who have appeared since. Every instance runs it: they share the work, and an event that two of
 * them try is charged once.
 */
@Injectable()
export class QuarantineSweeper extends Sweeper {
  constructor(
    private readonly quarantine: QuarantineService,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Quarantine sweeper', config.sweepIntervalSeconds);
  }

  /** One pass. Answers what has become of the events. */
  sweep(stopped?: AbortSignal) {
    return this.quarantine.replayOfKnownUsers(stopped);
  }
}
