import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { SkipThrottle } from '@nestjs/throttler';
import { Public } from '../auth/access.decorator.js';
import { ServiceUnavailable } from '../common/errors/service-error.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { VERSION } from '../config/version.js';
import { HealthService } from './health.service.js';

export class HealthDto {
  @ApiProperty({ enum: ['ok'], example: 'ok' }) status: 'ok';
  @ApiProperty({ example: 'accounting-service' }) service: string;
  @ApiProperty({ example: VERSION }) version: string;
  @ApiProperty({ format: 'date-time', example: '2026-11-21T12:00:00.000Z' }) timestamp: string;
}

@ApiTags('Health')
@SkipThrottle()
@Public()
@Controller()
export class HealthController {
  constructor(
    private readonly service: HealthService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get('health')
  @ApiOperation({
    summary: 'Liveness: is the process alive?',
    description:
      'It asks nothing of the database: a process that is alive may still be unable to serve requests.',
    operationId: 'getHealth',
  })
  @ApiOkResponse({ type: HealthDto })
  health(): HealthDto {
    return this.answer();
  }

  @Get('api/health')
  @ApiOperation({
    summary: 'Liveness: is the process alive? (also available under /api)',
    description: 'The same as `/health`, for proxies that pass on only paths under `/api`.',
    operationId: 'getApiHealth',
  })
  @ApiOkResponse({ type: HealthDto })
  apiHealth(): HealthDto {
    return this.answer();
  }

  @Get('health/ready')
  @ApiOperation({
    summary: 'Readiness: does the database answer, is it migrated, and is it not read-only?',
    description: 'A load balancer sends requests only while this is 200.',
    operationId: 'getReadiness',
  })
  @ApiOkResponse({ type: HealthDto })
  @ApiProblems(ServiceUnavailable)
  async ready(): Promise<HealthDto> {
    await this.service.requireReady();
    return this.answer();
  }

  private answer(): HealthDto {
    return {
      status: 'ok',
      service: 'accounting-service',
      version: this.config.version,
      timestamp: new Date().toISOString(),
    };
  }
}
