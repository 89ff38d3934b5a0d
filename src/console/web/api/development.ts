import { problemOf } from './problem';
import type { Role } from './session';

interface Settings {
  version: string;
  developmentTokens: boolean;
}

/** What the service says of itself before anyone has signed in. */
export async function readSettings(): Promise<Settings> {
  const response = await fetch('/console/config.json');
  if (!response.ok) throw problemOf(response.status, null);
  return (await response.json()) as Settings;
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
