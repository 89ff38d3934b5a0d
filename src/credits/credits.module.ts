import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { AccountDirectoryService } from './account-directory.service.js';
import { AccountsController } from './accounts.controller.js';
import { CreditsAuditService } from './credits-audit.service.js';
import { CreditsForecastService } from './credits-forecast.service.js';
import { CreditsController } from './credits.controller.js';
import { CreditsService } from './credits.service.js';
import { CreditsSweeper } from './credits.sweeper.js';
import { LedgerEntry } from './entities/ledger-entry.entity.js';

@Module({
  imports: [TypeOrmModule.forFeature([LedgerEntry]), AccountsModule],
  controllers: [CreditsController, AccountsController],
  providers: [
    CreditsService,
    CreditsAuditService,
    CreditsSweeper,
    AccountDirectoryService,
    CreditsForecastService,
  ],
  exports: [CreditsService],
})
export class CreditsModule {}
