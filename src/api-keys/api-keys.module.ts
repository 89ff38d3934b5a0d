import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { ApiKeysVerificationService } from './api-keys-verification.service.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApiKey } from './entities/api-key.entity.js';

@Module({
  imports: [TypeOrmModule.forFeature([ApiKey]), AccountsModule],
  controllers: [ApiKeysController],
  providers: [ApiKeysService, ApiKeysVerificationService],
})
export class ApiKeysModule {}
