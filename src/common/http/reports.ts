import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  SetMetadata,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request, Response } from 'express';
import { finalize, type Observable } from 'rxjs';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { ReportTooLong, ServiceError } from '../errors/service-error.js';
import { NoTurn, Turns } from '../turns.js';
import { callerOf, endWith } from './caller-turns.guard.js';
import { ApiProblems } from './problem.dto.js';

/** 429: the caller has as many reports or downloads under way as one caller may have. */
export class TooManyReports extends ServiceError {
  static readonly example = new TooManyReports('reports');

  constructor(kind: Kind) {
    super(429, 'rate_limit.reports', `You have too many ${kind} in progress`, { retryAfterSeconds: 1 });
  }
}

/** 503: too many reports of others are under way. */
export class ReportsBusy extends ServiceError {
  static readonly example = new ReportsBusy('reports');

  constructor(kind: Kind) {
    super(503, 'service.busy', `Too many ${kind} are in progress; try again`, { retryAfterSeconds: 1 });
  }
}

type Kind = 'reports' | 'downloads' | 'audits';

/** A report is one statement over much that is stored: a few at once leave the processor to the movements of credits. */
const REPORTS = {
  perKey: 1,
  patienceMilliseconds: 10_000,
  waitingPerKey: 100,
  waitingInAll: 1000,
} as const;
/** A download is as many statements as it needs, one after the other, at the pace of its reader. */
const DOWNLOADS = {
  perKey: 4,
  inAll: 40,
  patienceMilliseconds: 0,
  waitingPerKey: 0,
  waitingInAll: 0,
} as const;
/** An audit reads the books of every user. */
const AUDITS = { ...DOWNLOADS, perKey: 1, inAll: 1 } as const;

/** Turns at reports, downloads and audits, of all modules of this process. */
@Injectable()
export class ReportTurns {
  private readonly turns: Record<Kind, Turns>;
  /** One report of a caller at a time until its answer is taken: many that are not would fill the memory. */
  private readonly answers = new Turns({ ...REPORTS, inAll: Infinity });

  constructor(@Inject(APP_CONFIG) config: AppConfig) {
    // As many as there are connections for them.
    const reports = new Turns({ ...REPORTS, inAll: config.reports.poolSize });
    this.turns = { reports, downloads: new Turns(DOWNLOADS), audits: new Turns(AUDITS) };
  }

  /** @returns what ends the turn. @throws TooManyReports, ReportsBusy */
  take(kind: Kind, caller: string, abandoned?: AbortSignal): Promise<() => void> {
    return this.takeOf(this.turns[kind], kind, caller, abandoned);
  }

  /** The turn of an answer, before that of its report. @returns what ends it. @throws TooManyReports */
  takeAnswer(caller: string, abandoned: AbortSignal): Promise<() => void> {
    return this.takeOf(this.answers, 'reports', caller, abandoned);
  }

  private async takeOf(turns: Turns, kind: Kind, caller: string, abandoned?: AbortSignal) {
    try {
      return await turns.take(caller, abandoned);
    } catch (error) {
      if (!(error instanceof NoTurn)) throw error;
      throw error.reason === 'key' ? new TooManyReports(kind) : new ReportsBusy(kind);
    }
  }

  /** Does one report in a turn of the caller's. @throws TooManyReports, ReportsBusy */
  async report<Answer>(caller: string, work: () => Promise<Answer>): Promise<Answer> {
    const end = await this.take('reports', caller);
    try {
      return await work();
    } finally {
      end();
    }
  }
}

/** Whether the answer is to be a download. */
export const wantsCsv = (request: Request) => request.accepts(['json', 'csv']) === 'csv';

/** Whose turns a report takes. */
export const reporterOf = (request: Request) => callerOf(request) ?? 'internal';

const HAS_DOWNLOAD = Symbol('has a download');
const IS_QUICK = Symbol('is quick');

/**
 * A turn from before the request is looked at until its answer is there: also when its client has hung up, for the
 * statement goes on. One who hangs up while they wait takes none, and the next report of a caller waits until the answer
 * to the one before has been taken.
 */
@Injectable()
class ReportInterceptor implements NestInterceptor {
  constructor(
    private readonly turns: ReportTurns,
    private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const http = context.switchToHttp();
    const request = http.getRequest<Request>();
    const response = http.getResponse<Response>();
    const reporter = reporterOf(request);
    const hungUp = new AbortController();
    const hangUp = () => hungUp.abort();
    response.once('close', hangUp);
    const hasDownload = this.reflector.get<boolean>(HAS_DOWNLOAD, context.getHandler());
    const isDownload = hasDownload && wantsCsv(request) && request.method !== 'HEAD';
    const kind = isDownload ? 'downloads' : 'reports';
    if (!isDownload) endWith(response, await this.turns.takeAnswer(reporter, hungUp.signal));
    const isQuick = this.reflector.get<boolean>(IS_QUICK, context.getHandler());
    const end =
      isQuick && !isDownload ? () => undefined : await this.turns.take(kind, reporter, hungUp.signal);
    response.off('close', hangUp);
    return next.handle().pipe(finalize(end));
  }
}

/**
 * On a route whose cost depends on how much is stored: one at a time for each caller, and a few in all.
 *
 * @param hasDownload the route also answers with CSV, and then takes a turn at downloads
 */
export const Report = ({ hasDownload = false } = {}) =>
  applyDecorators(
    SetMetadata(HAS_DOWNLOAD, hasDownload),
    UseInterceptors(ReportInterceptor),
    ApiProblems(TooManyReports, ReportsBusy, ReportTooLong),
  );

/**
 * On a route that reads little and may still answer with much more than most routes do: one at a time for each caller, until
 * its answer has been taken. It does not wait for the reports of others.
 *
 * @param hasDownload the route also answers with CSV, and then takes a turn at downloads
 */
export const LongList = ({ hasDownload = false } = {}) =>
  applyDecorators(
    SetMetadata(IS_QUICK, true),
    SetMetadata(HAS_DOWNLOAD, hasDownload),
    UseInterceptors(ReportInterceptor),
    ApiProblems(TooManyReports, ...(hasDownload ? [ReportsBusy] : [])),
  );
