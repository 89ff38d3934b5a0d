import { Inject, Injectable } from '@nestjs/common';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { GatewayKeysService } from './gateway-keys.service.js';
import { KEY_GATEWAYS, type KeyGateways } from './key-gateway.js';

/** Repeats what has not reached a gateway, and deletes expired keys there. Every instance runs it. */
@Injectable()
export class GatewayKeysSweeper extends Sweeper {
  constructor(
    private readonly keys: GatewayKeysService,
    @Inject(KEY_GATEWAYS) gateways: KeyGateways,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Gateway keys sweeper', gateways.size === 0 ? 0 : config.sweepIntervalSeconds);
  }

  sweep(stopped?: AbortSignal) {
    return this.keys.sweep(stopped);
  }
}
