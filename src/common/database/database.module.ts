import { type DynamicModule, Global, Module } from '@nestjs/common';
import { SecretAnswers } from '../http/secret-answers.js';
import { Changes } from './changes.js';
import { Database } from './database.js';
import { DatabasePool } from './driver.js';
import { Movements } from './movements.js';

@Global()
@Module({
  providers: [Changes, Database, Movements, SecretAnswers],
  exports: [Changes, Database, DatabasePool, Movements, SecretAnswers],
})
export class DatabaseModule {
  /** @param pool the connections for all but movements and reports, which have their own */
  static forRoot(pool: DatabasePool): DynamicModule {
    return { module: DatabaseModule, providers: [{ provide: DatabasePool, useValue: pool }] };
  }
}
