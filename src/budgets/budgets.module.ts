import { Module } from '@nestjs/common';
import { AccountsModule } from '../accounts/accounts.module.js';
import { BudgetsController } from './budgets.controller.js';
import { BudgetsService } from './budgets.service.js';

@Module({ imports: [AccountsModule], controllers: [BudgetsController], providers: [BudgetsService] })
export class BudgetsModule {}
