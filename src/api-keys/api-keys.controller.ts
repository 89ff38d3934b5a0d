import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { CurrentCaller, OwnerOrServiceAccess, RoleAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import { type Caller, seenUser } from '../common/http/caller.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { OwnPageQueryDto, PageQueryDto } from '../common/http/page.js';
import { IdParam, AccountIdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { Report } from '../common/http/reports.js';
import { ApiKeysVerificationService } from './api-keys-verification.service.js';
import {
  ApiKeyEnded,
  ApiKeyNotFound,
  ApiKeyRotated,
  GatewayFailed,
  GatewayNotConfigured,
  GatewayRefused,
  GatewayUnavailable,
  GatewayUserReserved,
  TooManyApiKeys,
} from './api-keys.errors.js';
import { ApiKeysService } from './api-keys.service.js';
import {
  CreateApiKeyDto,
  RotateApiKeyDto,
  UpdateApiKeyDto,
  VerifyApiKeyDto,
} from './dto/api-keys.requests.js';
import { ApiKeyDto, ApiKeyPageDto, CreatedApiKeyDto, VerificationDto } from './dto/api-keys.responses.js';

const OF_GATEWAY = [
  GatewayNotConfigured,
  GatewayUserReserved,
  GatewayRefused,
  GatewayFailed,
  GatewayUnavailable,
];
const CREATE_EXAMPLES = {
  plain: {
    summary: 'A key for this service',
    value: {
      name: 'nightly report',
      permissions: ['credits:read'],
      expiresAt: '2030-01-01T00:00:00Z',
      creditLimit: 500,
    },
  },
  litellm: {
    summary: 'A key for the LiteLLM proxy as well',
    value: {
      name: 'notebook',
      permissions: ['credits:read'],
      gateway: 'litellm',
      models: ['gpt-4o-mini'],
      maxBudgetUsd: '25.5',
      rpmLimit: 60,
      tpmLimit: 100000,
    },
  },
};

@ApiTags('API keys')
@Controller('api-keys')
export class ApiKeysController {
  constructor(
    private readonly keys: ApiKeysService,
    private readonly verification: ApiKeysVerificationService,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Create an API key',
    description:
      'The key itself is shown only in this response, because the service stores only its SHA-256 hash. ' +
      'With `gateway: "litellm"` the key is also created in the LiteLLM proxy; if that fails, the key ' +
      'does not work anywhere.',
    operationId: 'createApiKey',
  })
  @ApiBody({ type: CreateApiKeyDto, examples: CREATE_EXAMPLES })
  @ApiCreatedResponse({ type: CreatedApiKeyDto })
  @ApiProblems(AccountNotFound, TooManyApiKeys, ApiKeyEnded, ...OF_GATEWAY)
  @ApiIdempotent({ answersSecret: true })
  @OwnerOrServiceAccess({ userIdIn: 'body' })
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreateApiKeyDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<CreatedApiKeyDto> {
    const { answer, replayed } = await this.keys.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'List your API keys, newest first',
    description:
      'Keys that still work and keys that have ended, without the keys themselves, which are shown only ' +
      'once.',
    operationId: 'listApiKeys',
  })
  @ApiOkResponse({ type: ApiKeyPageDto })
  @ApiProblems(AccountNotFound)
  @OwnerOrServiceAccess({ userIdIn: 'body' })
  @Report()
  list(@CurrentCaller() caller: Caller, @Query() page: OwnPageQueryDto): Promise<ApiKeyPageDto> {
    return this.keys.page(caller.accountId, page, seenUser(caller));
  }

  @Post('verify')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Verify an API key',
    description: 'A question: an invalid key is a 200 with `valid: false` and the reason in `code`.',
    operationId: 'verifyApiKey',
  })
  @ApiOkResponse({ type: VerificationDto })
  @RoleAccess('supervisor', { orService: true })
  verify(@Body() body: VerifyApiKeyDto): Promise<VerificationDto> {
    return this.verification.verify(body);
  }

  @Get('user/:userId')
  @ApiOperation({
    summary: 'List a user’s API keys, newest first',
    description: 'The same as your own keys, for a user.',
    operationId: 'listUserApiKeys',
  })
  @ApiOkResponse({ type: ApiKeyPageDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @Report()
  listOf(@AccountIdParam() userId: string, @Query() page: PageQueryDto): Promise<ApiKeyPageDto> {
    return this.keys.page(userId, page);
  }

  @Get(':id')
  @ApiOperation({
    summary: 'Get one of your API keys',
    description:
      'The key’s facts, without the key itself, which is shown only once. Another user’s key does not ' +
      'exist (404).',
    operationId: 'getApiKey',
  })
  @ApiOkResponse({ type: ApiKeyDto })
  @ApiProblems(ApiKeyNotFound)
  @OwnerOrServiceAccess()
  one(@CurrentCaller() caller: Caller, @IdParam() id: number): Promise<ApiKeyDto> {
    return this.keys.one(caller, id);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Change an API key',
    description: 'Changes the fields that are given; `permissions` replaces the whole list.',
    operationId: 'updateApiKey',
  })
  @ApiOkResponse({ type: ApiKeyDto })
  @ApiProblems(ApiKeyNotFound, ApiKeyEnded)
  @OwnerOrServiceAccess()
  update(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: UpdateApiKeyDto,
  ): Promise<ApiKeyDto> {
    return this.keys.update(caller, id, body);
  }

  @Post(':id/rotate')
  @ApiOperation({
    summary: 'Rotate an API key: create its successor and end the old key after the overlap',
    description:
      'The successor has the same name, permissions, expiry and limit. It is shown only in this response. ' +
      'A key is rotated once.',
    operationId: 'rotateApiKey',
  })
  @ApiCreatedResponse({ type: CreatedApiKeyDto })
  @ApiProblems(ApiKeyNotFound, TooManyApiKeys, ApiKeyEnded, ApiKeyRotated, ...OF_GATEWAY)
  @ApiIdempotent({ answersSecret: true })
  @OwnerOrServiceAccess()
  async rotate(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: RotateApiKeyDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<CreatedApiKeyDto> {
    const { answer, replayed } = await this.keys.rotate(caller, id, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Revoke an API key at once',
    description:
      'The key fails on the next request. Sessions that were started with it can still be settled. ' +
      'Revoking it again changes nothing.',
    operationId: 'revokeApiKey',
  })
  @ApiNoContentResponse({ description: 'The key no longer works on any instance' })
  @ApiProblems(ApiKeyNotFound)
  @OwnerOrServiceAccess()
  revoke(@CurrentAuthor() caller: Author, @IdParam() id: number): Promise<void> {
    return this.keys.revoke(caller, id);
  }
}
