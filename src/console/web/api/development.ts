import { signal } from '@preact/signals';
import { problemOf } from './problem';
import { isAdmin, type Role } from './session';

export interface DevelopmentPerson {
  sub: string;
  username: string;
  role: Role;
  hint: string;
}

interface Settings {
  version: string;
  /** A session without a sign of life for this long is ended by the service. */
  sessionLeaseSeconds: number;
  /** Whether users create organisations, not only supervisors. */
  usersCreateOrganisations: boolean;
  /** Whether people sign in at an OpenID provider. */
  signIn: boolean;
  /** Whether a person may bring an access token of their own. */
  takesTokens: boolean;
  /** Whether users see what their calls cost at the provider. */
  showsProviderCostToUsers: boolean;
  developmentTokens: boolean;
  /** The users of the demo. */
  people?: DevelopmentPerson[];
}

/** Null until they have been read. */
export const settings = signal<Settings | null>(null);

/** Columns and figures about provider costs; the service leaves them out of the answers to others. */
export const seesProviderCost = () => isAdmin.value || settings.value?.showsProviderCostToUsers === true;

/** The settings that are public: they are needed before sign-in. */
export async function readSettings(): Promise<void> {
  const response = await fetch('/console/config.json');
  if (!response.ok) throw problemOf(response.status, null);
  settings.value = (await response.json()) as Settings;
}

/** An access token for development; the route exists only on the developer's own machine. */
export async function developmentToken(sub: string, role: Role): Promise<string> {
  const response = await fetch('/api/dev/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ sub, role }),
  });
  const body = (await response.json()) as { token: string };
  if (!response.ok) throw problemOf(response.status, body);
  return body.token;
}
