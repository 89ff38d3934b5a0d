import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountsModule } from '../accounts/accounts.module.js';
import { StreamingSession } from './entities/streaming-session.entity.js';
import { OutputLengths } from './output-lengths.sweeper.js';
import { StreamingSessionsController } from './streaming-sessions.controller.js';
import { StreamingSessionsService } from './streaming-sessions.service.js';
import { StreamingSessionsSweeper } from './streaming-sessions.sweeper.js';

@Module({
  imports: [TypeOrmModule.forFeature([StreamingSession]), AccountsModule],
  controllers: [StreamingSessionsController],
  providers: [StreamingSessionsService, StreamingSessionsSweeper, OutputLengths],
})
export class StreamingSessionsModule {}
