import { Inject, Injectable } from '@nestjs/common';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { GatewayKeysService } from './gateway-keys.service.js';

/** Retries what the gateway has not been told, and takes expired keys away there. Every instance runs it. */
@Injectable()
export class GatewayKeysSweeper extends Sweeper {
  constructor(
    private readonly keys: GatewayKeysService,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Gateway keys sweeper', config.litellm === undefined ? 0 : config.sweepIntervalSeconds);
  }

  sweep() {
    return this.keys.sweep();
  }
}
