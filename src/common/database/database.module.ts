import { Global, Module } from '@nestjs/common';
import { SecretAnswers } from '../http/secret-answers.js';
import { Changes } from './changes.js';
import { Database } from './database.js';

@Global()
@Module({ providers: [Changes, Database, SecretAnswers], exports: [Changes, Database, SecretAnswers] })
export class DatabaseModule {}
