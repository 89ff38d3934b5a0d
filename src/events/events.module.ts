import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { WebhookEndpoint } from './entities/webhook-endpoint.entity.js';
import { EventPublisher } from './event-publisher.js';
import { EventSignals } from './event-signals.js';
import { EventStreams } from './event-streams.js';
import { EventsController } from './events.controller.js';
import { EventsService } from './events.service.js';
import { EventsSweeper } from './events.sweeper.js';
import { WebhookDeliverer } from './webhook-deliverer.js';
import { WebhookDeliveriesService } from './webhook-deliveries.service.js';
import { WebhookSecrets } from './webhook-secrets.js';
import { WebhookSender } from './webhook-sender.js';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksService } from './webhooks.service.js';

@Module({
  imports: [AccountsModule, TypeOrmModule.forFeature([WebhookEndpoint])],
  controllers: [EventsController, WebhooksController],
  providers: [
    EventPublisher,
    EventSignals,
    EventStreams,
    EventsService,
    EventsSweeper,
    WebhookDeliverer,
    WebhookDeliveriesService,
    WebhookSecrets,
    WebhookSender,
    WebhooksService,
  ],
  exports: [EventsService, WebhookSecrets, WebhookSender],
})
export class EventsModule {}
