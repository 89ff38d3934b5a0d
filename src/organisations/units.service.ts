import { Injectable } from '@nestjs/common';
import type { Once } from '../common/database/changes.js';
import { Database } from '../common/database/database.js';
import type { Author } from '../common/http/author.js';
import type { Caller } from '../common/http/caller.js';
import type { Idempotency } from '../common/http/idempotency.js';
import {
  type ChangeUnitDto,
  type CreateUnitDto,
  type UnitAnswer,
  UnitDto,
  type UnitRow,
  UnitTreeDto,
} from './dto/units.dto.js';
import { OrganisationChanges, organisationChange } from './organisation-changes.js';
import { OrganisationsService } from './organisations.service.js';

const CREATE = organisationChange<Idempotency & { name: string; parentId: number | null }, UnitAnswer>(
  'unit_create',
);
const CHANGE = organisationChange<{ id: number; changes: ChangeUnitDto }, UnitAnswer>('unit_change');
const DELETE = organisationChange<{ id: number }>('unit_delete');

const UNITS = {
  name: 'organisation_units',
  text: `SELECT u.id, u.parent_id, u.name, coalesce(m.members, 0) AS members
           FROM units u
           LEFT JOIN (SELECT unit_id, count(*) AS members FROM members
                       WHERE account_id = $1 AND unit_id IS NOT NULL GROUP BY unit_id) m ON m.unit_id = u.id
          WHERE u.account_id = $1 ORDER BY u.name, u.id`,
};

/** The tree of an organisation's units. All methods throw OrganisationNotFound, changes OrganisationRoleRequired and OrganisationArchived. */
@Injectable()
export class UnitsService {
  constructor(
    private readonly organisations: OrganisationsService,
    private readonly changes: OrganisationChanges,
    private readonly database: Database,
  ) {}

  /** @throws UnitNotFound for the parent, UnitNameTaken, TooManyUnits, ValidationError beyond 5 levels, IdempotencyMismatch */
  async create(
    caller: Author,
    id: string,
    { name, parentId }: CreateUnitDto,
    key: string | null,
  ): Promise<Once<UnitDto>> {
    const request = { name, parentId: parentId ?? null };
    const { answer, replayed } = await this.changes.once(CREATE, caller, id, request, key);
    return { answer: UnitDto.from(answer), replayed };
  }

  /** All of them: there are at most 1,000. */
  async tree(caller: Caller, id: string): Promise<UnitTreeDto> {
    await this.organisations.requireMember(caller, id);
    return UnitTreeDto.from(await this.database.rows<UnitRow>(UNITS, [id]));
  }

  /** Renames it, or moves it with all below it. @throws UnitNotFound, UnitNameTaken, ValidationError for a cycle or beyond 5 levels */
  async change(caller: Author, id: string, unitId: number, changes: ChangeUnitDto): Promise<UnitDto> {
    const { answer } = await this.changes.run(CHANGE, caller, id, { id: unitId, changes });
    return UnitDto.from(answer);
  }

  /** Its budgets go with it. @throws UnitNotFound, UnitNotEmpty */
  async delete(caller: Author, id: string, unitId: number): Promise<void> {
    await this.changes.run(DELETE, caller, id, { id: unitId });
  }
}
