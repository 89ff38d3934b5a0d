import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
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
import { TestResultDto } from '../events/dto/webhooks.responses.js';
import { TargetRefused } from '../events/events.errors.js';
import { AlertRuleNotFound, EmailNotConfigured, TooManyAlertRules } from './alerts.errors.js';
import { AlertsService } from './alerts.service.js';
import { AlertRuleDto, AlertRulePageDto, CreateAlertRuleDto, UpdateAlertRuleDto } from './dto/alerts.dto.js';

@ApiTags('Alerts')
@Controller('alert-rules')
export class AlertsController {
  constructor(private readonly alerts: AlertsService) {}

  @Post()
  @ApiOperation({
    summary: 'Create an alert rule',
    description:
      'People get events of the rule by e-mail or in a Slack-compatible channel. Events that happen within `groupSeconds` of ' +
      'the first, or in quiet hours, come in one message. A message that fails is tried again with growing pauses, ' +
      'together with what has happened since.',
    operationId: 'createAlertRule',
  })
  @ApiCreatedResponse({ type: AlertRuleDto })
  @ApiProblems(TooManyAlertRules, TargetRefused, EmailNotConfigured)
  @ApiIdempotent()
  @RoleAccess('admin')
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreateAlertRuleDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<AlertRuleDto> {
    const { answer, replayed } = await this.alerts.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'List alert rules, newest first',
    description: 'With the time of the last message and, while messages fail, since when and why.',
    operationId: 'listAlertRules',
  })
  @ApiOkResponse({ type: AlertRulePageDto })
  @RoleAccess('admin')
  list(@Query() page: PageQueryDto): Promise<AlertRulePageDto> {
    return this.alerts.page(page);
  }

  @Get(':id')
  @ApiOperation({
    summary: 'Get one alert rule',
    description: 'With the time of the last message. Of a Slack URL only the server is shown.',
    operationId: 'getAlertRule',
  })
  @ApiOkResponse({ type: AlertRuleDto })
  @ApiProblems(AlertRuleNotFound)
  @RoleAccess('admin')
  one(@IdParam() id: number): Promise<AlertRuleDto> {
    return this.alerts.one(id);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Change an alert rule, or switch it off or on',
    description:
      'Changes the fields that are given; the channel stays. A rule that is switched on begins with the next event.',
    operationId: 'updateAlertRule',
  })
  @ApiOkResponse({ type: AlertRuleDto })
  @ApiProblems(AlertRuleNotFound, TargetRefused, EmailNotConfigured)
  @RoleAccess('admin')
  update(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: UpdateAlertRuleDto,
  ): Promise<AlertRuleDto> {
    return this.alerts.update(caller, id, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete an alert rule',
    description: 'What waits for its quiet hours or for further events is not sent.',
    operationId: 'deleteAlertRule',
  })
  @ApiNoContentResponse({ description: 'Done' })
  @ApiProblems(AlertRuleNotFound)
  @RoleAccess('admin')
  remove(@CurrentAuthor() caller: Author, @IdParam() id: number): Promise<void> {
    return this.alerts.delete(caller, id);
  }

  @Post(':id/test')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Send a test message at once',
    description: 'The response reports the outcome; the test is neither stored nor retried.',
    operationId: 'testAlertRule',
  })
  @ApiOkResponse({ type: TestResultDto })
  @ApiProblems(AlertRuleNotFound)
  @RoleAccess('admin')
  test(@IdParam() id: number): Promise<TestResultDto> {
    return this.alerts.test(id);
  }
}
