import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { CreditsAuditService } from './credits-audit.service.js';
import { CreditsForecastService } from './credits-forecast.service.js';
import { CreditsController } from './credits.controller.js';
import { CreditsService } from './credits.service.js';
import { CreditsSweeper } from './credits.sweeper.js';
import { LedgerEntry } from './entities/ledger-entry.entity.js';
import { ThresholdsController } from './thresholds.controller.js';
import { ThresholdsService } from './thresholds.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([LedgerEntry]), AccountsModule],
  controllers: [CreditsController, ThresholdsController],
  providers: [CreditsService, CreditsAuditService, CreditsSweeper, ThresholdsService, CreditsForecastService],
})
export class CreditsModule {}
