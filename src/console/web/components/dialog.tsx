import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Problem } from '../api/problem';
import { Limits } from './limits';
import { Button } from './ui';

interface DialogProps {
  title: string;
  onClose: () => void;
  /** The dialog cannot be closed while an action runs, so that its result is seen. */
  isLocked?: boolean;
  isWide?: boolean;
  /** Only its buttons close it, and Escape does not. */
  staysOnEscape?: boolean;
  children: ComponentChildren;
}

/** The browser's own dialog: it keeps the focus inside, and Escape closes it. */
export function Dialog({
  title,
  onClose,
  isLocked = false,
  isWide = false,
  staysOnEscape = false,
  children,
}: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={isWide ? 'wide' : ''}
      aria-labelledby={titleId}
      // A browser closes a dialog at the second Escape, also when its `cancel` was prevented: so the key itself is.
      onKeyDown={(event) => {
        if (event.key === 'Escape' && (isLocked || staysOnEscape)) event.preventDefault();
      }}
      onCancel={(event) => {
        event.preventDefault();
        if (!isLocked && !staysOnEscape) onClose();
      }}
    >
      <header class="dialog-header">
        <h2 id={titleId}>{title}</h2>
        <Button kind="quiet" icon="close" aria-label="Close" disabled={isLocked} onClick={onClose} />
      </header>
      {children}
    </dialog>
  );
}

/** Beside the page, which stays in use. It has its own address, and Escape closes it. */
export function Panel({ title, onClose, children }: Pick<DialogProps, 'title' | 'onClose' | 'children'>) {
  const element = useRef<HTMLDivElement>(null);
  const titleId = useId();
  useEffect(() => element.current?.focus(), [title]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      // What lies above it comes first.
      if (event.key === 'Escape' && document.querySelector('dialog[open], :popover-open') === null) onClose();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  });
  return (
    <div ref={element} class="panel" role="dialog" aria-labelledby={titleId} tabIndex={-1}>
      <div class="dialog-header">
        <h2 id={titleId}>{title}</h2>
        <Button kind="quiet" icon="close" aria-label="Close" onClick={onClose} />
      </div>
      <div class="dialog-body">{children}</div>
    </div>
  );
}

interface ConfirmProps {
  title: string;
  action: string;
  kind?: 'primary' | 'danger';
  isBusy: boolean;
  problem: Problem | null;
  onConfirm: () => void;
  onClose: () => void;
  children: ComponentChildren;
}

/** States what will happen and asks for confirmation. */
export function Confirm({
  title,
  action,
  kind = 'danger',
  isBusy,
  problem,
  onConfirm,
  onClose,
  children,
}: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose} isLocked={isBusy}>
      <div class="dialog-body">{children}</div>
      {problem && <ProblemNote problem={problem} />}
      <footer class="dialog-footer">
        <Button onClick={onClose} disabled={isBusy}>
          Cancel
        </Button>
        <Button kind={kind} isBusy={isBusy} onClick={onConfirm}>
          {action}
        </Button>
      </footer>
    </Dialog>
  );
}

/** Why the service refused. Errors of the fields named in `shown` are at their fields. */
export function ProblemNote({ problem, shown = [] }: { problem: Problem; shown?: readonly string[] }) {
  const others = problem.fields.filter(({ field }) => !shown.includes(field));
  const isByField = problem.fields.length > 0 && others.length === 0;
  return (
    <div class="note bad" role="alert">
      <p>{isByField ? 'Some values are invalid. See below.' : problem.message}</p>
      <Limits limits={problem.limits} />
      {problem.isPassing && (
        <p class="hint">You can safely submit this form again: it is carried out at most once.</p>
      )}
    </div>
  );
}
