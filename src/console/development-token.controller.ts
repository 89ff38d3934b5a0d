import { All, Body, Controller, HttpCode, Inject } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Public } from '../auth/access.decorator.js';
import { ROLES, type Role } from '../common/http/caller.js';
import { developmentToken } from '../auth/development-token.js';
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

/**
 * Tokens for developers, who sign in to the console with a button. It is not part of the API: it exists only where the
 * secret is a generated one, and only for the person at this machine: for others the route does not exist, whatever they send.
 */
@ApiExcludeController()
@Public(isFromThisMachine)
@Controller('dev')
export class DevelopmentTokenController {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  /** Takes every method, so that for others it has none either. */
  @All('token')
  @HttpCode(201)
  create(@Body() { sub, role }: DevelopmentTokenRequest): { token: string } {
    // With the user's name, because the account would take the name in the token.
    const named = this.config.developmentPeople?.find((person) => person.sub === sub);
    return {
      token: developmentToken(this.config, { sub, role, username: named?.username }, TOKEN_HOURS),
    };
  }
}
