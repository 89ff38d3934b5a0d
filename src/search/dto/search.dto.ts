import { ApiProperty } from '@nestjs/swagger';
import { ValidateBy } from 'class-validator';
import { IntegerQuery, TextField } from '../../common/http/validators.js';
import { searchProblem } from '../words.js';

/** As long as the longest id. */
const TEXT_LENGTH = 200;
const MOST_RESULTS = 20;
const DEFAULT_RESULTS = 5;

export const RESULT_KINDS = ['user', 'organisation', 'api_key', 'model', 'session', 'request'] as const;
export type ResultKind = (typeof RESULT_KINDS)[number];

export class SearchQueryDto {
  @TextField(TEXT_LENGTH, {
    description: 'What to search for: 1 to 8 words, at least one of them of 2 characters or more',
    example: 'alice',
  })
  @ValidateBy({
    name: 'words',
    validator: {
      // What is no text is refused above.
      validate: (value) => typeof value !== 'string' || searchProblem(value) === undefined,
      defaultMessage: (args) => searchProblem(String(args?.value)) ?? 'is not valid',
    },
  })
  q: string;

  @IntegerQuery(1, MOST_RESULTS, {
    description: 'Maximum number of results of each kind',
    example: DEFAULT_RESULTS,
    default: DEFAULT_RESULTS,
  })
  limit: number = DEFAULT_RESULTS;
}

/** A result as the database gives it. */
export interface FoundRow {
  kind: ResultKind;
  /** The better a match, the lower. */
  rank: number;
  id: string;
  name: string;
  detail: string | null;
  account_id: string | null;
  user_id: string | null;
  record_id: string | null;
}

const NULLABLE = { type: 'string', nullable: true } as const;

export class SearchResultDto {
  @ApiProperty({ enum: RESULT_KINDS, enumName: 'SearchResultKind', example: 'user' }) kind: ResultKind;
  @ApiProperty({ example: 'alice', description: 'Its id: of a request the `requestId`' }) id: string;
  @ApiProperty({
    example: 'Alice',
    description: 'Name of the user, organisation or API key; model of the session; operation of the request',
  })
  name: string;
  @ApiProperty({
    ...NULLABLE,
    example: 'alice@example.com',
    description:
      'E-mail of the user, hint of the API key, status of the session, billing status of the request; otherwise null',
  })
  detail: string | null;
  @ApiProperty({
    ...NULLABLE,
    example: 'alice',
    description: 'The account that it belongs to; null for a model',
  })
  accountId: string | null;
  @ApiProperty({ ...NULLABLE, example: 'alice', description: 'The user that it belongs to; otherwise null' })
  userId: string | null;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    nullable: true,
    example: null,
    description: 'The usage record of a request, or of a session that has ended; otherwise null',
  })
  recordId: number | null;

  static from(row: FoundRow): SearchResultDto {
    return {
      kind: row.kind,
      id: row.id,
      name: row.name,
      detail: row.detail,
      accountId: row.account_id,
      userId: row.user_id,
      recordId: row.record_id === null ? null : Number(row.record_id),
    };
  }
}

export class SearchResultsDto {
  @ApiProperty({ type: () => [SearchResultDto], description: 'By kind, the best match of each kind first' })
  items: SearchResultDto[];
  @ApiProperty({ description: 'Whether there may be more: then a longer text finds fewer', example: false })
  hasMore: boolean;
}
