import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Header, Headers, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Public } from '../auth/access.decorator.js';
import { InvalidToken, TokenRequired } from '../auth/auth.errors.js';
import { RouteNotFound } from '../common/errors/request-errors.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { RateLimited } from '../common/http/rate-limit.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { DatabaseGauges } from './database-gauges.js';

const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

@ApiTags('Health')
@Public()
@Controller()
export class MetricsController {
  /** On its way: requests that arrive meanwhile share it, as writing it takes milliseconds. */
  private text: Promise<string> | undefined;

  constructor(
    private readonly metrics: Metrics,
    private readonly gauges: DatabaseGauges,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get('metrics')
  @Header('Content-Type', TEXT)
  @ApiOperation({
    summary: 'Metrics for Prometheus',
    description:
      'METRICS_ACCESS decides whether the metrics are open to everyone, require METRICS_TOKEN as a ' +
      'bearer token, or are switched off.',
    operationId: 'getMetrics',
  })
  @ApiOkResponse({
    content: { 'text/plain': { schema: { type: 'string' }, example: 'accounting_sessions_active 3\n' } },
  })
  @ApiProblems(TokenRequired, InvalidToken, RouteNotFound, RateLimited)
  async read(@Headers('authorization') authorization: string | undefined): Promise<string> {
    if (this.config.metricsAccess === 'off') throw new RouteNotFound();
    this.requireToken(authorization);
    this.text ??= this.write().finally(() => (this.text = undefined));
    return this.text;
  }

  private async write(): Promise<string> {
    await this.gauges.refresh();
    return this.metrics.registry.metrics();
  }

  private requireToken(authorization: string | undefined): void {
    const { metricsToken } = this.config;
    if (metricsToken === undefined) return;
    if (authorization === undefined) throw new TokenRequired();
    if (!timingSafeEqual(digest(authorization), digest(`Bearer ${metricsToken}`))) throw new InvalidToken();
  }
}

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
