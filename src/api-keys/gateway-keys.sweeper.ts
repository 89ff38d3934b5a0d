import { Inject, Injectable } from '@nestjs/common';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { GatewayKeysService } from './gateway-keys.service.js';

/** Repeats what has not reached the gateway, and deletes expired keys there. Every instance runs it. */
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
