import { Controller, Get, Inject, Query, Req, Res } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags, getSchemaPath } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { CurrentCaller, TokenAccess } from '../auth/access.decorator.js';
import { AccountRoleRequired } from '../auth/auth.errors.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import type { Caller } from '../common/http/caller.js';
import { sendCsv } from '../common/http/csv-download.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { Report, reporterOf, wantsCsv } from '../common/http/reports.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { ActivityService } from './activity.service.js';
import { ActivityPageDto, ActivityQueryDto } from './dto/activity.dto.js';

@ApiTags('Activity')
@ApiExtraModels(ActivityPageDto)
@Controller('activity')
export class ActivityController {
  constructor(
    private readonly activity: ActivityService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List what people and programs changed, newest first',
    description:
      'Admins see all changes, owners and admins of an organisation those to it (`accountId`), and users those to their own ' +
      'account. An entry is written in the transaction of its change, is never altered, and is kept for ' +
      'ACTIVITY_RETENTION_DAYS. Holds, settlements, charges and usage records are in the ledger and not here.',
    operationId: 'listActivity',
  })
  @ApiOkResponse({
    description: 'One page as JSON; with `Accept: text/csv`, all entries as CSV, one per line',
    content: {
      'application/json': { schema: { $ref: getSchemaPath(ActivityPageDto) } },
      'text/csv': { schema: { type: 'string' }, example: 'id,at,accountId,action,…\r\n' },
    },
  })
  @ApiProblems(AccountNotFound, AccountRoleRequired)
  @TokenAccess()
  @Report({ hasDownload: true })
  async list(
    @CurrentCaller() caller: Caller,
    @Query() asked: ActivityQueryDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ActivityPageDto | undefined> {
    const query = await this.activity.visible(caller, asked);
    if (!wantsCsv(request)) return this.activity.page(caller, query);
    return sendCsv(this.activity.csv(caller, query, reporterOf(request)), response, {
      fileName: 'activity.csv',
      patienceSeconds: this.config.requestTimeoutSeconds,
    });
  }
}
