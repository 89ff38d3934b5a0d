import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { UsageQuarantine } from './entities/usage-quarantine.entity.js';
import { LitellmChargesService } from './litellm-charges.service.js';
import { LitellmController } from './litellm.controller.js';
import { LitellmDirectory } from './litellm-directory.js';
import { LitellmIntakeService } from './litellm-intake.service.js';
import { QuarantineService } from './quarantine.service.js';
import { QuarantineSweeper } from './quarantine.sweeper.js';

@Module({
  imports: [TypeOrmModule.forFeature([UsageQuarantine])],
  controllers: [LitellmController],
  providers: [
    LitellmIntakeService,
    LitellmChargesService,
    LitellmDirectory,
    QuarantineService,
    QuarantineSweeper,
  ],
})
export class IntegrationsModule {}
