import { useState } from 'preact/hooks';
import type { CreatedApiKey } from '../api/client';
import { Dialog } from '../components/dialog';
import { Button, copyText } from '../components/ui';

/** The key itself, this once: nobody can read it again. */
export function CreatedKey({ created, onClose }: { created: CreatedApiKey; onClose: () => void }) {
  const [isCopied, setCopied] = useState(false);
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
