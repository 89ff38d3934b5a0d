import { useState } from 'preact/hooks';
import { toast } from './toasts';
import { Button } from './ui';

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    if (await copyText(text)) {
      setCopied(true);
      toast('Copied', 'good');
    } else toast('The browser blocked copying. Select the text and copy it manually', 'warn');
  };
  return (
    <Button
      kind="quiet"
      icon={isCopied ? 'check' : 'copy'}
      aria-label={label}
      title={label}
      onClick={() => void copy()}
    />
  );
}

/** Browsers offer the clipboard only at trusted addresses; the old way works at others. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement('textarea');
    field.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(field);
    field.select();
    const isCopied = document.execCommand('copy');
    field.remove();
    return isCopied;
  }
}
