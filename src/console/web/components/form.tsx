import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { Problem } from '../api/problem';
import { Button } from './ui';

interface FieldProps {
  type?: 'text' | 'datetime-local';
  inputMode?: 'numeric' | 'decimal';
  maxLength?: number;
  autofocus?: boolean;
  spellcheck?: boolean;
  label: string;
  /** The field's name in the API's request: the API's errors name it. */
  name: string;
  value: string;
  required?: boolean;
  onChange: (value: string) => void;
  hint?: ComponentChildren;
  problem?: Problem | null;
  /** An error that this page finds itself. */
  error?: string | undefined;
}

export function Field({ label, name, value, onChange, hint, problem, error, required, ...rest }: FieldProps) {
  const id = useId();
  const wrong = error ?? problem?.fields.find(({ field }) => field === name)?.message;
  return (
    <div class="field">
      <label for={id}>
        {label}
        {!required && <span class="optional"> optional</span>}
      </label>
      <input
        {...(rest as { type: 'text' })}
        autocomplete="off"
        id={id}
        name={name}
        required={required}
        value={value}
        aria-invalid={wrong !== undefined}
        aria-describedby={`${id}-hint`}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      <p id={`${id}-hint`} class={wrong === undefined ? 'hint' : 'field-error'}>
        {wrong ?? hint}
      </p>
    </div>
  );
}

interface SelectProps {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onChange: (value: string) => void;
  isInline?: boolean;
}

export function Select({ label, value, options, onChange, isInline = false }: SelectProps) {
  const id = useId();
  return (
    <div class={isInline ? 'field inline' : 'field'}>
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option} selected={option === value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

interface FormProps {
  action: string;
  isBusy: boolean;
  isDisabled?: boolean;
  kind?: 'primary' | 'danger';
  onSubmit: () => void;
  onCancel: () => void;
  children: ComponentChildren;
}

export function Form({
  action,
  isBusy,
  isDisabled = false,
  kind = 'primary',
  onSubmit,
  onCancel,
  children,
}: FormProps) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      <div class="dialog-body">{children}</div>
      <footer class="dialog-footer">
        <Button onClick={onCancel} disabled={isBusy}>
          Cancel
        </Button>
        <Button type="submit" kind={kind} isBusy={isBusy} disabled={isDisabled}>
          {action}
        </Button>
      </footer>
    </form>
  );
}

/** Reads a number as people type it, with spaces or commas between thousands. */
export function parseWhole(text: string): number | null {
  const digits = text.replace(/[\s,_]/g, '');
  return /^\d{1,15}$/.test(digits) ? Number(digits) : null;
}
