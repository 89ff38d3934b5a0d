import { Global, Module } from '@nestjs/common';
import { ReportTurns } from './reports.js';

@Global()
@Module({ providers: [ReportTurns], exports: [ReportTurns] })
export class ReportsModule {}
