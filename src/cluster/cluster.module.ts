import { type DynamicModule, Module } from '@nestjs/common';
import { FixedWindowStorage } from '../common/http/fixed-window.storage.js';
import { WorkerLink } from './worker-link.js';

@Module({})
export class ClusterModule {
  /** @param windows the rate limit's counters of this process */
  static forRoot(windows: FixedWindowStorage): DynamicModule {
    return {
      module: ClusterModule,
      global: true,
      providers: [{ provide: FixedWindowStorage, useValue: windows }, WorkerLink],
      exports: [WorkerLink],
    };
  }
}
