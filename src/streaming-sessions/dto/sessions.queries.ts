import { IntegerQuery, OnBehalfField, PayerField } from '../../common/http/validators.js';

const MAXIMUM_SESSIONS = 10_000;
const DEFAULT_SESSIONS = 1000;

export class ListSessionsQueryDto {
  @IntegerQuery(1, MAXIMUM_SESSIONS, {
    description: 'Maximum number of sessions to return',
    example: DEFAULT_SESSIONS,
    default: DEFAULT_SESSIONS,
  })
  limit: number = DEFAULT_SESSIONS;
}

export class ActiveSessionsQueryDto extends ListSessionsQueryDto {
  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}
