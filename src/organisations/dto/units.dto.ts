import { ApiProperty } from '@nestjs/swagger';
import { toSafeInteger } from '../../common/database/transformers.js';
import { isoTime } from '../../common/http/time.js';
import { IdField, IntegerField } from '../../common/http/validators.js';

const NAME_LENGTH = 100;
const NAME = { description: 'Name of the unit, unique under its parent', example: 'Research' };
const PARENT = { description: 'The unit above; null: none', example: 1, required: false };
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 2 } as const;

export class CreateUnitDto {
  @IdField(NAME_LENGTH, NAME)
  name: string;

  @IntegerField(1, Number.MAX_SAFE_INTEGER, PARENT)
  parentId?: number;
}

export class ChangeUnitDto {
  @IdField(NAME_LENGTH, { ...NAME, required: false })
  name?: string;

  @IntegerField(1, Number.MAX_SAFE_INTEGER, {
    ...PARENT,
    description: 'The unit above, to which this one moves with all below it; null: to the top',
    nullable: true,
  })
  parentId?: number | null;
}

/** A unit as the operations return it. */
export interface UnitAnswer {
  id: number;
  name: string;
  parentId: number | null;
  path: number[];
  createdAt: string;
}

export class UnitDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'Research' }) name: string;
  @ApiProperty({ ...ID, nullable: true, description: 'The unit above; null: none', example: 1 })
  parentId: number | null;
  @ApiProperty({
    type: 'array',
    items: { type: 'integer', format: 'int64', minimum: 1 },
    description: 'Ids from the top unit down to this one',
    example: [1, 2],
  })
  path: number[];
  @ApiProperty({ type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' })
  createdAt: string;

  static from({ id, name, parentId, path, createdAt }: UnitAnswer): UnitDto {
    return { id, name, parentId, path, createdAt: isoTime(createdAt) };
  }
}

/** A unit as the database gives it. */
export interface UnitRow {
  id: string;
  parent_id: string | null;
  name: string;
  members: string;
}

export class UnitNodeDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'Research' }) name: string;
  @ApiProperty({ ...ID, nullable: true, description: 'The unit above; null: none', example: 1 })
  parentId: number | null;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 0,
    description: 'How many members are in this unit itself',
    example: 3,
  })
  members: number;
  @ApiProperty({ type: () => [UnitNodeDto], description: 'The units below, by name', example: [] })
  children: UnitNodeDto[];
}

export class UnitTreeDto {
  @ApiProperty({ type: () => [UnitNodeDto], description: 'The units at the top, by name' })
  items: UnitNodeDto[];

  /** @param rows of all units, in the order in which they are shown */
  static from(rows: UnitRow[]): UnitTreeDto {
    const nodes = rows.map((row): UnitNodeDto => ({
      id: toSafeInteger(row.id),
      name: row.name,
      parentId: row.parent_id === null ? null : toSafeInteger(row.parent_id),
      members: toSafeInteger(row.members),
      children: [],
    }));
    const byId = new Map(nodes.map((node) => [node.id, node]));
    for (const node of nodes) if (node.parentId !== null) byId.get(node.parentId)?.children.push(node);
    return { items: nodes.filter(({ parentId }) => parentId === null) };
  }
}
