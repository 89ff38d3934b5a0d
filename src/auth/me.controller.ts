import { Controller, Get, Inject, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { type AuthenticatedRequest, type Caller, type Role, ROLES } from '../common/http/caller.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig, JwtConfig } from '../config/env.js';
import { CurrentCaller, TokenAccess } from './access.decorator.js';
import { type AccessTokenClaims, accountOf } from './claims.js';
import { claimsOf } from './token-verifier.js';

export class MeDto {
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ example: 'alice', description: 'Name in the access token' }) username: string;
  @ApiProperty({ enum: ROLES, enumName: 'Role', description: 'Role in the access token', example: 'user' })
  role: Role;
  @ApiProperty({
    type: 'string',
    format: 'date-time',
    description: 'When the access token expires; with a session of the console, when the session ends',
    example: '2026-11-21T12:00:00.000Z',
  })
  expiresAt: string;

  static from({ userId, role }: Caller, request: AuthenticatedRequest, config: JwtConfig): MeDto {
    const claims = claimsOf(request.headers.authorization as string) as AccessTokenClaims;
    return {
      userId,
      username: accountOf(claims, config).username,
      role,
      expiresAt: new Date(request.sessionEndsAt ?? claims.exp * 1000).toISOString(),
    };
  }
}

@ApiTags('Accounts')
@Controller('me')
export class MeController {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  @Get()
  @ApiOperation({
    summary: 'Get who you are, as the service reads your access token',
    description:
      'What the service found in the claims that it is configured to read (JWT_CLAIM_USERNAME, JWT_CLAIM_ROLE).',
    operationId: 'getMe',
  })
  @ApiOkResponse({ type: MeDto })
  @TokenAccess()
  me(@CurrentCaller() caller: Caller, @Req() request: AuthenticatedRequest): MeDto {
    return MeDto.from(caller, request, this.config.jwt);
  }
}
