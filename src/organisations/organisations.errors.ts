import { ServiceError } from '../common/errors/service-error.js';

/** 404: there is no such organisation, or the caller is not a member of it. */
export class OrganisationNotFound extends ServiceError {
  constructor() {
    super(404, 'organisation.not_found', 'Organisation not found');
  }
}

/** 403: the caller is a member, but their role does not allow this. */
export class OrganisationRoleRequired extends ServiceError {
  constructor() {
    super(403, 'organisation.role_required', 'Your role in the organisation does not allow this');
  }
}

/** 409: another organisation has this id. */
export class OrganisationIdTaken extends ServiceError {
  constructor() {
    super(409, 'organisation.id_taken', 'An organisation with this id already exists', {
      errors: [{ field: 'id', message: 'is taken; choose another' }],
    });
  }
}

/** 409: a user creates at most 100 organisations, without those that are archived; supervisors any number. */
export class TooManyOrganisations extends ServiceError {
  constructor() {
    super(409, 'organisation.too_many', 'You have created 100 organisations, which is the maximum');
  }
}

/** 409: an archived organisation cannot be changed. */
export class OrganisationArchived extends ServiceError {
  constructor() {
    super(409, 'organisation.archived', 'The organisation is archived');
  }
}

/** 409: sessions of the organisation still hold credits. */
export class OrganisationSessionsActive extends ServiceError {
  constructor() {
    super(409, 'organisation.sessions_active', 'The organisation has active sessions');
  }
}

/** 409: an organisation keeps at least one owner. */
export class OrganisationOwnerRequired extends ServiceError {
  constructor() {
    super(409, 'organisation.owner_required', 'The organisation must keep at least one owner');
  }
}

/** 404: the user is not a member of the organisation. */
export class MemberNotFound extends ServiceError {
  constructor() {
    super(404, 'member.not_found', 'Member not found');
  }
}

/** 409: the user is a member already. */
export class MemberExists extends ServiceError {
  constructor() {
    super(409, 'member.exists', 'The user is already a member of the organisation', {
      errors: [{ field: 'userId', message: 'is already a member' }],
    });
  }
}

/** As member_add.sql has it. */
const MAXIMUM_MEMBERS = 100_000;

/** 409: the organisation is full. */
export class TooManyMembers extends ServiceError {
  constructor() {
    super(409, 'member.too_many', `An organisation may have at most ${MAXIMUM_MEMBERS} members`);
  }
}

/** 404: the organisation has no such unit. */
export class UnitNotFound extends ServiceError {
  /** @param field that names the unit */
  constructor(field: 'unitId' | 'parentId' = 'unitId') {
    super(404, 'unit.not_found', 'Unit not found', {
      errors: [{ field, message: 'is not a unit of this organisation' }],
    });
  }
}

/** 409: another unit under the same parent has this name. */
export class UnitNameTaken extends ServiceError {
  constructor() {
    super(409, 'unit.name_taken', 'Another unit under the same parent has this name', {
      errors: [{ field: 'name', message: 'is taken under this parent' }],
    });
  }
}

/** 409: the platform has set a budget of the unit; supervisors delete both. */
export class UnitHasPlatformBudget extends ServiceError {
  constructor() {
    super(
      409,
      'unit.has_platform_budget',
      'The platform has set a budget of the unit; a supervisor can delete it',
    );
  }
}

/** 409: the unit has members, or units below it. */
export class UnitNotEmpty extends ServiceError {
  constructor() {
    super(409, 'unit.not_empty', 'The unit has members or units below it');
  }
}

/** As unit_create.sql has it. */
const MAXIMUM_UNITS = 1000;

/** 409: the organisation has as many units as it may have. */
export class TooManyUnits extends ServiceError {
  constructor() {
    super(409, 'unit.too_many', `An organisation may have at most ${MAXIMUM_UNITS} units`);
  }
}
