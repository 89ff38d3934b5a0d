import { Global, Module } from '@nestjs/common';
import { SecretAnswers } from '../http/secret-answers.js';
import { Changes } from './changes.js';
import { Database } from './database.js';
import { Movements } from './movements.js';

@Global()
@Module({
  providers: [Changes, Database, Movements, SecretAnswers],
  exports: [Changes, Database, Movements, SecretAnswers],
})
export class DatabaseModule {}
