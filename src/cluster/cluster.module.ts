import { type DynamicModule, Module } from '@nestjs/common';
import { RequestWindows } from '../common/http/request-windows.js';
import { WorkerLink } from './worker-link.js';

@Module({})
export class ClusterModule {
  /** @param windows the rate limit's counters of this process */
  static forRoot(windows: RequestWindows): DynamicModule {
    return {
      module: ClusterModule,
      global: true,
      providers: [{ provide: RequestWindows, useValue: windows }, WorkerLink],
      exports: [RequestWindows, WorkerLink],
    };
  }
}
