import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AliasesController } from './aliases.controller.js';
import { AliasesService } from './aliases.service.js';
import { PricingAlias } from './entities/pricing-alias.entity.js';
import { PricingRule } from './entities/pricing-rule.entity.js';
import { PricingController } from './pricing.controller.js';
import { PricingImportService } from './pricing-import.service.js';
import { PricingService } from './pricing.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([PricingRule, PricingAlias])],
  // The aliases' routes come before that of a model, which takes any path.
  controllers: [AliasesController, PricingController],
  providers: [AliasesService, PricingService, PricingImportService],
  exports: [PricingService],
})
export class PricingModule {}
