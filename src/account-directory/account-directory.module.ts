import { Module } from '@nestjs/common';
import { AccountDirectoryController } from './account-directory.controller.js';
import { AccountDirectoryService } from './account-directory.service.js';

@Module({ controllers: [AccountDirectoryController], providers: [AccountDirectoryService] })
export class AccountDirectoryModule {}
