import { Module } from '@nestjs/common';
import { DatabaseGauges } from './database-gauges.js';
import { HealthController } from './health.controller.js';
import { HealthService } from './health.service.js';
import { MetricsController } from './metrics.controller.js';

@Module({ controllers: [HealthController, MetricsController], providers: [HealthService, DatabaseGauges] })
export class HealthModule {}
