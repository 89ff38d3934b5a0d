import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { CurrentCaller, TokenAccess } from '../auth/access.decorator.js';
import type { Caller } from '../common/http/caller.js';
import { Report } from '../common/http/reports.js';
import { SearchQueryDto, SearchResultsDto } from './dto/search.dto.js';
import { SearchService } from './search.service.js';

@ApiTags('Search')
@Controller('search')
export class SearchController {
  constructor(private readonly service: SearchService) {}

  @Get()
  @ApiOperation({
    summary: 'Search users, organisations, API keys, models, sessions and requests',
    description:
      'Users are found by how the words of their id, name or e-mail begin, organisations by those of their id or name, API ' +
      'keys by those of their name or hint, and models by those of their id. If there are several words, all of them must ' +
      'match, in any order. Sessions and requests are found by how their id begins, in upper and lower case as it is: ' +
      'active sessions, and the newest 10,000 calls. Users find those among the newest 1,000 calls of each of their accounts, ' +
      'and older ones by the whole id. ' +
      'Supervisors and admins search everything; others find themselves, their organisations, and their own API keys, sessions ' +
      'and requests.',
    operationId: 'searchEverything',
  })
  @ApiOkResponse({ type: SearchResultsDto })
  @TokenAccess()
  @Report()
  search(@CurrentCaller() caller: Caller, @Query() query: SearchQueryDto): Promise<SearchResultsDto> {
    return this.service.search(caller, query);
  }
}
