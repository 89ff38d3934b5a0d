import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { PricingRule } from './entities/pricing-rule.entity.js';
import { PricingController } from './pricing.controller.js';
import { PricingImportService } from './pricing-import.service.js';
import { PricingService } from './pricing.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([PricingRule])],
  controllers: [PricingController],
  providers: [PricingService, PricingImportService],
  exports: [PricingService],
})
export class PricingModule {}
