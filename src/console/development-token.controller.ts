import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  HttpCode,
  Inject,
  Injectable,
  Post,
  UseGuards,
} from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { Request } from 'express';
import { Public } from '../auth/access.decorator.js';
import { ROLES, type Role } from '../auth/caller.js';
import { developmentToken } from '../cli/development-token.js';
import { ServiceError } from '../common/errors/service-error.js';
import { EnumField, UserIdField } from '../common/http/validators.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { isFromThisMachine } from './development-machine.js';

const TOKEN_HOURS = 12;

export class DevelopmentTokenRequest {
  @UserIdField({ description: 'Who to be', example: 'alice' })
  sub: string;

  @EnumField(ROLES, { description: 'What to be allowed', example: 'admin' })
  role: Role;
}

/** For anyone else the route is not there, whatever they send: it comes before the body is looked at. */
@Injectable()
export class ThisMachineGuard implements CanActivate {
  /** @throws ServiceError 404 */
  canActivate(context: ExecutionContext): boolean {
    if (isFromThisMachine(context.switchToHttp().getRequest<Request>())) return true;
    throw new ServiceError(404, 'route.not_found', 'There is nothing here');
  }
}

/**
 * Tokens for the person who develops, so that they can sign in to the console with a button. It is no part of the API:
 * it is there only where the secret is a generated one, and for anyone but the person at this machine it is not there.
 */
@ApiExcludeController()
@Public()
@UseGuards(ThisMachineGuard)
@Controller('dev')
export class DevelopmentTokenController {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  @Post('token')
  @HttpCode(201)
  create(@Body() { sub, role }: DevelopmentTokenRequest): { token: string } {
    // Who has a name keeps it: the account would take the one of the token.
    const named = this.config.developmentPeople?.find((person) => person.sub === sub);
    return {
      token: developmentToken(this.config.jwt, { sub, role, username: named?.username }, TOKEN_HOURS),
    };
  }
}
