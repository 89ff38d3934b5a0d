import { effect } from '@preact/signals';
import { latest, wordsFor } from '../api/events';
import { isSupervisor } from '../api/session';
import { toast } from './toasts';

/** What a person who looks after users should know at once. */
const URGENT = new Set(['credits.exhausted', 'usage.needs_review']);
/** A busy platform must not cover the page with them. */
const PAUSE_MILLISECONDS = 10_000;
let lastToast = 0;

effect(() => {
  const event = latest.value;
  if (event === null || !URGENT.has(event.type) || !isSupervisor.peek()) return;
  if (Date.now() - lastToast < PAUSE_MILLISECONDS) return;
  lastToast = Date.now();
  toast(`${event.userId} ${wordsFor(event)}`, 'warn');
});
