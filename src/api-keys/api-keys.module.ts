import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { ApiKeysVerificationService } from './api-keys-verification.service.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApiKey } from './entities/api-key.entity.js';
import { GatewayKeysService } from './gateway-keys.service.js';
import { GatewayKeysSweeper } from './gateway-keys.sweeper.js';

@Module({
  imports: [TypeOrmModule.forFeature([ApiKey]), AccountsModule],
  controllers: [ApiKeysController],
  providers: [ApiKeysService, ApiKeysVerificationService, GatewayKeysService, GatewayKeysSweeper],
})
export class ApiKeysModule {}
