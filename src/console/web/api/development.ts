import { signal } from '@preact/signals';
import { problemOf } from './problem';
import type { Role } from './session';

export interface DevelopmentPerson {
  sub: string;
  username: string;
  role: Role;
  hint: string;
}

interface Settings {
  version: string;
  /** A session that is not heard of for as long is ended by the service. */
  sessionLeaseSeconds: number;
  developmentTokens: boolean;
  /** Whom the demo offers. */
  people?: DevelopmentPerson[];
}

/** Null until the service has been asked. */
export const settings = signal<Settings | null>(null);

/** What the service says of itself before anyone has signed in. */
export async function readSettings(): Promise<void> {
  const response = await fetch('/console/config.json');
  if (!response.ok) throw problemOf(response.status, null);
  settings.value = (await response.json()) as Settings;
}

/** An access token for development; the route is there only on the machine of who develops. */
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
