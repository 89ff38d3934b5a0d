import { Param, type PipeTransform } from '@nestjs/common';
import { ValidationError } from '../common/errors/service-error.js';
import { isOrganisationId } from '../common/http/text.js';

const PREFIX = 'org:';
export const ORGANISATION_ID_LENGTH = 45;
const SLUG_LENGTH = ORGANISATION_ID_LENGTH - PREFIX.length;

/** Why a value is no id of an organisation, or undefined when it is. */
export function organisationIdProblem(value: unknown): string | undefined {
  if (typeof value === 'string' && isOrganisationId(value)) return undefined;
  return `must be "${PREFIX}" and 1 to ${SLUG_LENGTH} of a-z, 0-9 and "-", not beginning with "-"`;
}

/** `Acme GmbH & Co.` → `org:acme-gmbh-co`. @throws ValidationError for a name without any letter a-z or digit */
export function organisationIdOf(name: string): string {
  const words = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const slug = words.replace(/[^a-z0-9]+/g, '-').replace(/^-/, '');
  const id = PREFIX + slug.slice(0, SLUG_LENGTH).replace(/-$/, '');
  if (organisationIdProblem(id) === undefined) return id;
  throw new ValidationError([
    { field: 'id', message: 'is required when the name has neither letters a-z nor digits' },
  ]);
}

class OrganisationIdPipe implements PipeTransform<unknown, string> {
  transform(value: unknown): string {
    const problem = organisationIdProblem(value);
    if (problem !== undefined) throw new ValidationError([{ field: 'id', message: problem }]);
    return value as string;
  }
}

/** `:id` of a path. */
export const OrganisationIdParam = () => Param('id', new OrganisationIdPipe());
