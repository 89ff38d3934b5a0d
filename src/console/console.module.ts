import { type DynamicModule, Module } from '@nestjs/common';
import type { AppConfig } from '../config/env.js';
import { givesDevelopmentTokens } from './development-machine.js';
import { DevelopmentTokenController } from './development-token.controller.js';

@Module({})
export class ConsoleModule {
  static forRoot(config: AppConfig): DynamicModule {
    return {
      module: ConsoleModule,
      controllers: givesDevelopmentTokens(config) ? [DevelopmentTokenController] : [],
    };
  }
}
