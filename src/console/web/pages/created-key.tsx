import type { CreatedApiKey } from '../api/client';
import { SecretOnce } from '../components/secret-once';
import { CopyButton } from '../components/copy';

/** A request for each permission to read, as an example. */
const READS: [permission: CreatedApiKey['permissions'][number], path: string][] = [
  ['credits:read', '/api/credits/balance'],
  ['usage:read', '/api/usage/stats'],
  ['pricing:read', '/api/pricing'],
];

/** Shows a new key once: it cannot be read again. */
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
      Copy the key now: it is shown only once. The service stores only its hash.
    </SecretOnce>
  );
}

function Example({ text }: { text: string }) {
  return (
    <>
      <p>Try it:</p>
      <div class="secret">
        <code data-testid="key-example">{text}</code>
        <CopyButton text={text} label="Copy command" />
      </div>
    </>
  );
}
