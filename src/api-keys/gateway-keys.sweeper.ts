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
import { GatewayKeysService } from './gateway-keys.service.js';

/** Retries what the gateway has not been told, and takes expired keys away there. Every instance runs it. */
@Injectable()
export class GatewayKeysSweeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly task: PeriodicTask;

  constructor(keys: GatewayKeysService, @Inject(APP_CONFIG) config: AppConfig) {
    const intervalSeconds = config.litellm === undefined ? 0 : config.sweepIntervalSeconds;
    const logger = new Logger(GatewayKeysSweeper.name);
    this.task = new PeriodicTask(logger, 'Gateway keys sweeper', intervalSeconds, () => keys.sweep());
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.task.stop();
  }
}
