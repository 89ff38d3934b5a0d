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
import { ROLES, type Role } from '../common/http/caller.js';
import { developmentToken } from '../auth/development-token.js';
import { RouteNotFound } from '../common/errors/request-errors.js';
import { BodyOfAnyone } from '../common/http/bodies.js';
import { EnumField, UserIdField } from '../common/http/validators.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { isFromThisMachine } from './development-machine.js';

const TOKEN_HOURS = 12;

export class DevelopmentTokenRequest {
  @UserIdField({ description: 'User id', example: 'alice' })
  sub: string;

  @EnumField('Role', ROLES, { description: 'Role', example: 'admin' })
  role: Role;
}

/** For other machines the route does not exist, whatever they send: the guard runs before the body is validated. */
@Injectable()
export class ThisMachineGuard implements CanActivate {
  /** @throws RouteNotFound */
  canActivate(context: ExecutionContext): boolean {
    if (isFromThisMachine(context.switchToHttp().getRequest<Request>())) return true;
    throw new RouteNotFound();
  }
}

/**
 * Tokens for developers, who sign in to the console with a button. It is not part of the API: it exists only where the
 * secret is a generated one, and only for the person at this machine.
 */
@ApiExcludeController()
@Public()
@UseGuards(ThisMachineGuard)
@Controller('dev')
export class DevelopmentTokenController {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  @Post('token')
  @HttpCode(201)
  @BodyOfAnyone()
  create(@Body() { sub, role }: DevelopmentTokenRequest): { token: string } {
    // With the user's name, because the account would take the name in the token.
    const named = this.config.developmentPeople?.find((person) => person.sub === sub);
    return {
      token: developmentToken(this.config.jwt, { sub, role, username: named?.username }, TOKEN_HOURS),
    };
  }
}
