import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RoleAccess } from '../auth/access.decorator.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { UserIdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { Report } from '../common/http/reports.js';
import { AccountDirectoryService } from './account-directory.service.js';
import { AccountDto, AccountPageDto, AccountsQueryDto } from './dto/accounts.dto.js';

/** Accounts with what they own. */
@ApiTags('Accounts')
@Controller('accounts')
export class AccountDirectoryController {
  constructor(private readonly directory: AccountDirectoryService) {}

  @Get()
  @ApiOperation({
    summary: 'Search accounts by a prefix of their id, name or e-mail',
    description:
      'Accounts that match by id come first, then those that match by name, then those that match by ' +
      'e-mail; each group is in alphabetical order. One request reads at most 10,000 accounts of each ' +
      'group, so a page may be short, or even empty, although more pages follow. The list ends when ' +
      '`nextCursor` is null.',
    operationId: 'listAccounts',
  })
  @ApiOkResponse({ type: AccountPageDto })
  @RoleAccess('supervisor')
  @Report()
  list(@Query() query: AccountsQueryDto): Promise<AccountPageDto> {
    return this.directory.page(query);
  }

  @Get(':userId')
  @ApiOperation({
    summary: 'Get one account',
    description: 'A user’s account, or an organisation’s by its id, with its credits.',
    operationId: 'getAccount',
  })
  @ApiOkResponse({ type: AccountDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor')
  one(@UserIdParam() userId: string): Promise<AccountDto> {
    return this.directory.account(userId);
  }
}
