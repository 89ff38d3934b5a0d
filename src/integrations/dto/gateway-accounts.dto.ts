import { ApiProperty } from '@nestjs/swagger';
import { type GatewayGroup, GROUP_KINDS } from '../../common/gateways.js';
import { AccountField, EnumField, IdField, IntegerField } from '../../common/http/validators.js';
import type { GatewayAccount } from '../entities/gateway-account.entity.js';

/** As long as an id that is kept of an event. */
const EXTERNAL_ID_LENGTH = 200;

const KIND = { description: 'What the id is of at the gateway', example: 'team' } as const;
const EXTERNAL_ID = { description: 'Id at the gateway', example: 'team-research' } as const;
const ORGANISATION = { description: 'The organisation that pays', example: 'org:acme' } as const;
const UNIT =
  'New keys of members of this unit are made in this team or organization; null: those of all members. ' +
  'A call counts for the unit of the member who makes it';

export class SetGatewayAccountDto {
  @EnumField('GatewayGroupKind', GROUP_KINDS, KIND)
  kind: GatewayGroup['kind'];

  @IdField(EXTERNAL_ID_LENGTH, EXTERNAL_ID)
  externalId: string;

  @AccountField(ORGANISATION)
  accountId: string;

  @IntegerField(1, Number.MAX_SAFE_INTEGER, { description: UNIT, required: false })
  unitId?: number;
}

export class GatewayAccountDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 1 }) id: number;
  @ApiProperty({ ...KIND, enum: GROUP_KINDS, enumName: 'GatewayGroupKind' }) kind: GatewayGroup['kind'];
  @ApiProperty(EXTERNAL_ID) externalId: string;
  @ApiProperty(ORGANISATION) accountId: string;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 1,
    nullable: true,
    description: UNIT,
    example: null,
  })
  unitId: number | null;
  @ApiProperty({ description: 'Who set it', example: 'root' }) setBy: string;
  @ApiProperty({ type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' }) setAt: string;

  static from(row: GatewayAccount): GatewayAccountDto {
    const { id, kind, externalId, accountId, unitId, setBy, setAt } = row;
    return { id, kind, externalId, accountId, unitId, setBy, setAt: setAt.toISOString() };
  }
}

export class GatewayAccountPageDto {
  @ApiProperty({ type: () => [GatewayAccountDto], description: 'In the order in which they were set' })
  items: GatewayAccountDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}
