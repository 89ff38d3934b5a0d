import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { RoleAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { PageQueryDto } from '../common/http/page.js';
import { IdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import {
  DeliveryNotFound,
  TargetRefused,
  TooManyWebhooks,
  WebhookInactive,
  WebhookNotFound,
} from './events.errors.js';
import { EventDto, WebhookTestEventDto } from './dto/events.responses.js';
import { WEBHOOK_CALLBACK } from './dto/webhook.callback.js';
import {
  CreateWebhookDto,
  DeliveriesQueryDto,
  ReplayWebhookDto,
  RotateWebhookSecretDto,
  UpdateWebhookDto,
} from './dto/webhooks.requests.js';
import {
  CreatedWebhookDto,
  DeliveryDto,
  DeliveryPageDto,
  ReplayDto,
  TestResultDto,
  WebhookDto,
  WebhookPageDto,
} from './dto/webhooks.responses.js';
import { WebhookDeliveriesService } from './webhook-deliveries.service.js';
import { WebhooksService } from './webhooks.service.js';

@ApiTags('Webhooks')
@Controller('webhooks')
export class WebhooksController {
  constructor(
    private readonly webhooks: WebhooksService,
    private readonly deliveries: WebhookDeliveriesService,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Create a webhook endpoint',
    description:
      'Events are posted to the endpoint according to the Standard Webhooks specification, signed with ' +
      'the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Each event is delivered at ' +
      'least once, and the events of one user in order. A delivery is retried for more than a day, with ' +
      'growing pauses, until the endpoint answers 2xx. Use `webhook-id` to ignore repeats. The secret is ' +
      'shown only in this response.',
    operationId: 'createWebhook',
    callbacks: WEBHOOK_CALLBACK,
  })
  @ApiExtraModels(EventDto, WebhookTestEventDto)
  @ApiCreatedResponse({ type: CreatedWebhookDto })
  @ApiProblems(TooManyWebhooks, TargetRefused)
  @ApiIdempotent({ answersSecret: true })
  @RoleAccess('admin')
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreateWebhookDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<CreatedWebhookDto> {
    const { answer, replayed } = await this.webhooks.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'List webhook endpoints, newest first',
    description:
      'With the result of the last delivery and the number of deliveries that wait or have failed.',
    operationId: 'listWebhooks',
  })
  @ApiOkResponse({ type: WebhookPageDto })
  @RoleAccess('admin')
  list(@Query() page: PageQueryDto): Promise<WebhookPageDto> {
    return this.webhooks.page(page);
  }

  @Get(':id')
  @ApiOperation({
    summary: 'Get one webhook endpoint',
    description:
      'With the result of the last delivery and the number of deliveries that wait or have failed. The ' +
      'secret is not shown again.',
    operationId: 'getWebhook',
  })
  @ApiOkResponse({ type: WebhookDto })
  @ApiProblems(WebhookNotFound)
  @RoleAccess('admin')
  one(@IdParam() id: number): Promise<WebhookDto> {
    return this.webhooks.one(id);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Change a webhook endpoint, or switch it off or on',
    description:
      'Changes the fields that are given. Switching an endpoint on that was switched off automatically ' +
      'clears the reason.',
    operationId: 'updateWebhook',
  })
  @ApiOkResponse({ type: WebhookDto })
  @ApiProblems(WebhookNotFound, TargetRefused)
  @RoleAccess('admin')
  update(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: UpdateWebhookDto,
  ): Promise<WebhookDto> {
    return this.webhooks.update(caller, id, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete a webhook endpoint with its deliveries',
    description: 'What has not been delivered yet is dropped.',
    operationId: 'deleteWebhook',
  })
  @ApiNoContentResponse({ description: 'The endpoint is deleted and receives nothing more' })
  @ApiProblems(WebhookNotFound)
  @RoleAccess('admin')
  delete(@CurrentAuthor() caller: Author, @IdParam() id: number): Promise<void> {
    return this.webhooks.delete(caller, id);
  }

  @Post(':id/rotate-secret')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Rotate the secret of a webhook endpoint; messages carry both signatures during the overlap',
    description: 'The new secret is shown only in this response.',
    operationId: 'rotateWebhookSecret',
  })
  @ApiOkResponse({ type: CreatedWebhookDto })
  @ApiProblems(WebhookNotFound)
  @ApiIdempotent({ answersSecret: true })
  @RoleAccess('admin')
  async rotateSecret(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: RotateWebhookSecretDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<CreatedWebhookDto> {
    const { answer, replayed } = await this.webhooks.rotateSecret(caller, id, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Post(':id/test')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Send a test message (webhook.test) at once',
    description:
      'The message has the form of an event with id 0, type `webhook.test` and no account. The response ' +
      'reports the outcome; the test is neither stored nor retried.',
    operationId: 'testWebhook',
  })
  @ApiOkResponse({ type: TestResultDto })
  @ApiProblems(WebhookNotFound)
  @RoleAccess('admin')
  test(@IdParam() id: number): Promise<TestResultDto> {
    return this.webhooks.test(id);
  }

  @Get(':id/deliveries')
  @ApiOperation({
    summary: 'List deliveries, newest first',
    description: 'Attempts, their results, and when the next one is due.',
    operationId: 'listWebhookDeliveries',
  })
  @ApiOkResponse({ type: DeliveryPageDto })
  @ApiProblems(WebhookNotFound)
  @RoleAccess('admin')
  listDeliveries(@IdParam() id: number, @Query() query: DeliveriesQueryDto): Promise<DeliveryPageDto> {
    return this.deliveries.page(id, query);
  }

  @Post(':id/deliveries/:deliveryId/replay')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Send a delivery again, whatever its status',
    description:
      'The message has the same `webhook-id` as before, so a receiver can ignore it if it has it already.',
    operationId: 'replayWebhookDelivery',
  })
  @ApiOkResponse({ type: DeliveryDto })
  @ApiProblems(WebhookNotFound, DeliveryNotFound, WebhookInactive)
  @RoleAccess('admin')
  replayOne(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @IdParam('deliveryId') deliveryId: number,
  ): Promise<DeliveryDto> {
    return this.deliveries.replayOne(caller, id, deliveryId);
  }

  @Post(':id/replay')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Send all deliveries again that failed or were missed since a given time',
    description:
      'The oldest first. One call looks at 50,000 events at most, so `replayed` may be 0 although more follow: call ' +
      'again with `nextCursor` until it is null.',
    operationId: 'replayWebhook',
  })
  @ApiOkResponse({ type: ReplayDto })
  @ApiProblems(WebhookNotFound, WebhookInactive)
  @RoleAccess('admin')
  replaySince(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: ReplayWebhookDto,
  ): Promise<ReplayDto> {
    return this.deliveries.replaySince(caller, id, body);
  }
}
