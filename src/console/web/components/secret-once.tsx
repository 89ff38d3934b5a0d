import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Dialog } from './dialog';
import { copyText } from './copy';
import { Button } from './ui';

interface SecretOnceProps {
  title: string;
  secret: string;
  /** Where tests find the secret. */
  testId: string;
  onClose: () => void;
  /** Shown below the secret. */
  more?: ComponentChildren;
  children: ComponentChildren;
}

/** Shows a secret once: it cannot be read again. */
export function SecretOnce({ title, secret, testId, onClose, more, children }: SecretOnceProps) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => setCopied(await copyText(secret));
  return (
    <Dialog title={title} onClose={onClose} staysOnEscape={!isCopied}>
      <div class="dialog-body">
        <p class="note warn">{children}</p>
        <div class="secret">
          <code data-testid={testId}>{secret}</code>
          <Button kind="primary" icon={isCopied ? 'check' : 'copy'} onClick={() => void copy()}>
            {isCopied ? 'Copied' : 'Copy'}
          </Button>
        </div>
        {more}
        <p class="unseen" role="status">
          {isCopied ? 'Copied to the clipboard' : ''}
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
