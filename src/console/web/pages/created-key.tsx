import type { CreatedApiKey } from '../api/client';
import { SecretOnce } from '../components/secret-once';

/** The key itself, this once: nobody can read it again. */
export function CreatedKey({ created, onClose }: { created: CreatedApiKey; onClose: () => void }) {
  return (
    <SecretOnce
      title={`The key for “${created.name}”`}
      secret={created.key}
      testId="created-key"
      onClose={onClose}
    >
      Copy it now: it is shown this once, and the service keeps only its fingerprint.
    </SecretOnce>
  );
}
