import { Module } from '@nestjs/common';
import { AccountsModule } from '../accounts/accounts.module.js';
import { ActivityController } from './activity.controller.js';
import { ActivityService } from './activity.service.js';
import { ActivitySweeper } from './activity.sweeper.js';

@Module({
  imports: [AccountsModule],
  controllers: [ActivityController],
  providers: [ActivityService, ActivitySweeper],
})
export class ActivityModule {}
