import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { EventsModule } from '../events/events.module.js';
import { AlertSender } from './alert-sender.js';
import { AlertsController } from './alerts.controller.js';
import { AlertsDeliverer } from './alerts.deliverer.js';
import { AlertsService } from './alerts.service.js';
import { AlertRule } from './entities/alert-rule.entity.js';

@Module({
  imports: [EventsModule, TypeOrmModule.forFeature([AlertRule])],
  controllers: [AlertsController],
  providers: [AlertSender, AlertsDeliverer, AlertsService],
})
export class AlertsModule {}
