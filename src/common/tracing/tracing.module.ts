import { Global, Module } from '@nestjs/common';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { type Tracing, TRACING } from './tracing.js';

@Global()
@Module({
  providers: [
    {
      provide: TRACING,
      inject: [APP_CONFIG],
      useFactory: async ({ tracing }: AppConfig): Promise<Tracing | null> => {
        if (tracing === undefined) return null;
        // Loaded only here, so that a service without tracing does not load its modules.
        const { OtlpTracing } = await import('./otlp-tracing.js');
        return new OtlpTracing(tracing);
      },
    },
  ],
  exports: [TRACING],
})
export class TracingModule {}
