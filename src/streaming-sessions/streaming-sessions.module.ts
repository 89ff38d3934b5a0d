import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { StreamingSession } from './entities/streaming-session.entity.js';
import { StreamingSessionsController } from './streaming-sessions.controller.js';
import { StreamingSessionsService } from './streaming-sessions.service.js';
import { StreamingSessionsSweeper } from './streaming-sessions.sweeper.js';

@Module({
  imports: [TypeOrmModule.forFeature([StreamingSession])],
  controllers: [StreamingSessionsController],
  providers: [StreamingSessionsService, StreamingSessionsSweeper],
})
export class StreamingSessionsModule {}
