import { signal } from '@preact/signals';
import type { Tone } from './ui';

interface Toast {
  id: number;
  text: string;
  tone: Tone;
}

const toasts = signal<Toast[]>([]);
const SHOWN_MILLISECONDS = 6000;
const MOST_SHOWN = 4;
let lastId = 0;

export function toast(text: string, tone: Tone = 'neutral'): void {
  const id = ++lastId;
  toasts.value = [...toasts.value, { id, text, tone }].slice(-MOST_SHOWN);
  setTimeout(() => (toasts.value = toasts.value.filter((other) => other.id !== id)), SHOWN_MILLISECONDS);
}

/** Short messages about what has just happened, also for screen readers. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, tone }) => (
        <div key={id} class={`toast ${tone}`}>
          {text}
        </div>
      ))}
    </div>
  );
}
