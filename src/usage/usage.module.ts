import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { UsageRecord } from './entities/usage-record.entity.js';
import { PricePreviewController } from './price-preview.controller.js';
import { PricePreviewService } from './price-preview.service.js';
import { UsageStatisticsService } from './usage-statistics.service.js';
import { UsageTotalsSweeper } from './usage-totals.sweeper.js';
import { UsageChargesService } from './usage-charges.service.js';
import { UsageClassesService } from './usage-classes.service.js';
import { UsageController } from './usage.controller.js';
import { UsageSearchService } from './usage-search.service.js';
import { UsageService } from './usage.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([UsageRecord]), AccountsModule],
  controllers: [UsageController, PricePreviewController],
  providers: [
    PricePreviewService,
    UsageService,
    UsageChargesService,
    UsageClassesService,
    UsageSearchService,
    UsageStatisticsService,
    UsageTotalsSweeper,
  ],
})
export class UsageModule {}
