import { useState } from 'preact/hooks';
import type { CreatedApiKey } from '../api/client';
import { Dialog } from '../components/dialog';
import { Button, CopyButton, copyText } from '../components/ui';

/** What a key may read, to try it by. */
const READS: [permission: CreatedApiKey['permissions'][number], path: string][] = [
  ['credits:read', '/api/credits/balance'],
  ['usage:read', '/api/usage/stats'],
  ['pricing:read', '/api/pricing'],
];

/** The key itself, this once: nobody can read it again. */
export function CreatedKey({ created, onClose }: { created: CreatedApiKey; onClose: () => void }) {
  const [isCopied, setCopied] = useState(false);
  const read = READS.find(([permission]) => created.permissions.includes(permission));
  const example = read ? `curl -H 'X-API-Key: ${created.key}' ${location.origin}${read[1]}` : null;
  const copy = async () => setCopied(await copyText(created.key));
  return (
    <Dialog title={`The key for “${created.name}”`} onClose={onClose}>
      <div class="dialog-body">
        <p class="note warn">
          Copy it now: it is shown this once, and the service keeps only its fingerprint.
        </p>
        <div class="secret">
          <code data-testid="created-key">{created.key}</code>
          <Button kind="primary" icon={isCopied ? 'check' : 'copy'} onClick={() => void copy()}>
            {isCopied ? 'Copied' : 'Copy'}
          </Button>
        </div>
        {example !== null && (
          <>
            <p>Try it:</p>
            <div class="secret">
              <code data-testid="key-example">{example}</code>
              <CopyButton text={example} label="Copy the command" />
            </div>
          </>
        )}
        <p class="unseen" role="status">
          {isCopied ? 'The key is in the clipboard' : ''}
        </p>
      </div>
      <footer class="dialog-footer">
        <Button kind={isCopied ? 'primary' : 'plain'} onClick={onClose}>
          {isCopied ? 'Done' : 'Close without copying'}
        </Button>
      </footer>
    </Dialog>
  );
}
