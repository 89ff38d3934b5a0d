import { Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { type GatewayName, GATEWAYS } from '../gateways.js';
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

const SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** A method that no route has becomes `other`: a caller must not make series at will. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** What this process counts, for Prometheus. One registry per application, so that two in one process do not mix. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();

  private readonly requestSeconds = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Requests by method, route and status',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers: [this.registry],
  });
  private readonly refusedHolds = new Counter({
    name: 'accounting_holds_refused_total',
    help: 'Sessions that could not start, by what was short',
    labelNames: ['reason'],
    registers: [this.registry],
  });
  private readonly holds = new Counter({
    name: 'accounting_holds_total',
    help: 'Sessions that started, by who estimated their output: caller, learned (by the service), ceiling (the maximum)',
    labelNames: ['estimate_source'],
    registers: [this.registry],
  });
  private readonly grownHolds = new Counter({
    name: 'accounting_holds_grown_total',
    help: 'Sessions whose hold had grown when they were settled, by who estimated their output',
    labelNames: ['estimate_source'],
    registers: [this.registry],
  });
  private readonly holdRatios = new Histogram({
    name: 'accounting_hold_cost_ratio',
    help: 'First hold of settled sessions as a multiple of their cost, by who estimated their output',
    labelNames: ['estimate_source'],
    buckets: [0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10, 100],
    registers: [this.registry],
  });
  private readonly sweptSessions = new Counter({
    name: 'accounting_sessions_timed_out_total',
    help: 'Sessions ended by the sweeper of this process',
    registers: [this.registry],
  });
  private readonly expiredCredits = new Counter({
    name: 'accounting_credits_expired_total',
    help: 'Credits written off by the sweeper of this process',
    registers: [this.registry],
  });
  private readonly costDifferences = new Counter({
    name: 'accounting_cost_differences_total',
    help: 'Calls whose cost as a gateway reported it differs by more than 1 % from that of the pricing rule',
    labelNames: ['gateway'],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    // From the start: a rate over a series that appears with its first event misses that event.
    for (const gateway of GATEWAYS) this.costDifferences.inc({ gateway }, 0);
    for (const reason of ['insufficient', 'budget_exceeded', 'limit_exceeded'])
      this.refusedHolds.inc({ reason }, 0);
    for (const estimate_source of ['caller', 'learned', 'ceiling']) {
      this.holds.inc({ estimate_source }, 0);
      this.grownHolds.inc({ estimate_source }, 0);
      this.holdRatios.zero({ estimate_source });
    }
  }

  /** Express middleware: the route as it is declared, never the path, which would make a series of each user. */
  readonly observeRequest = (request: Request, response: Response, next: NextFunction): void => {
    const end = this.requestSeconds.startTimer();
    response.once('close', () => {
      const { path } = (request.route ?? {}) as { path?: string };
      const method = METHODS.has(request.method) ? request.method : 'other';
      end({ method, route: path ?? 'none', status: response.statusCode });
    });
    next();
  };

  countRefusedHold(reason: 'insufficient' | 'budget_exceeded' | 'limit_exceeded'): void {
    this.refusedHolds.inc({ reason });
  }

  countHold(estimateSource: string): void {
    this.holds.inc({ estimate_source: estimateSource });
  }

  /** @param settled credits held at the start, at the end, and what the call cost */
  countSettlement(settled: {
    estimateSource: string;
    firstHold: number;
    allocatedCredits: number;
    actualCredits: number;
  }): void {
    const labels = { estimate_source: settled.estimateSource };
    if (settled.allocatedCredits > settled.firstHold) this.grownHolds.inc(labels);
    if (settled.actualCredits > 0) this.holdRatios.observe(labels, settled.firstHold / settled.actualCredits);
  }

  countSweptSessions(sessions: number): void {
    this.sweptSessions.inc(sessions);
  }

  countExpiredCredits(credits: number): void {
    this.expiredCredits.inc(credits);
  }

  countCostDifference(gateway: GatewayName): void {
    this.costDifferences.inc({ gateway });
  }
}
