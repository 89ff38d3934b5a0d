import type { CreatedApiKey } from '../api/client';
import { SecretOnce } from '../components/secret-once';
import { CopyButton } from '../components/copy';

/** What a key may read, to try it by. */
const READS: [permission: CreatedApiKey['permissions'][number], path: string][] = [
  ['credits:read', '/api/credits/balance'],
  ['usage:read', '/api/usage/stats'],
  ['pricing:read', '/api/pricing'],
];

/** The key itself, this once: nobody can read it again. */
export function CreatedKey({ created, onClose }: { created: CreatedApiKey; onClose: () => void }) {
  const read = READS.find(([permission]) => created.permissions.includes(permission));
  const example = read ? `curl -H 'X-API-Key: ${created.key}' ${location.origin}${read[1]}` : null;
  return (
    <SecretOnce
      title={`The key for “${created.name}”`}
      secret={created.key}
      testId="created-key"
      onClose={onClose}
      more={example !== null && <Example text={example} />}
    >
      Copy it now: it is shown this once, and the service keeps only its fingerprint.
    </SecretOnce>
  );
}

function Example({ text }: { text: string }) {
  return (
    <>
      <p>Try it:</p>
      <div class="secret">
        <code data-testid="key-example">{text}</code>
        <CopyButton text={text} label="Copy the command" />
      </div>
    </>
  );
}
