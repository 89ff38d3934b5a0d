import { signal } from '@preact/signals';

export type Connection = 'up' | 'unreachable' | 'unavailable';

/** `unreachable`: no answer at all. `unavailable`: the service answers that it cannot work, as without its database. */
export const connection = signal<Connection>('up');
/** Rises each time the service has come back: everything that is shown is read again. */
export const reconnections = signal(0);
/** Seconds until the next attempt. */
export const nextAttempt = signal(0);

const FIRST_DELAY = 1;
const LONGEST_DELAY = 15;
let attempts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

export function reportTrouble(kind: 'unreachable' | 'unavailable'): void {
  if (connection.value !== 'up') return;
  connection.value = kind;
  attempts = 0;
  schedule();
}

/** Tries at once, without waiting for the next attempt. */
export function tryNow(): void {
  clearTimeout(timer);
  void attempt();
}

function schedule(): void {
  // With a random part: many consoles must not all reconnect at the same moment.
  const seconds = Math.min(FIRST_DELAY * 2 ** attempts, LONGEST_DELAY) * (0.75 + Math.random() / 2);
  attempts++;
  nextAttempt.value = Math.ceil(seconds);
  timer = setTimeout(() => void attempt(), seconds * 1000);
}

async function attempt(): Promise<void> {
  try {
    const { ok } = await fetch('/health/ready', { cache: 'no-store' });
    if (ok) {
      connection.value = 'up';
      reconnections.value++;
      return;
    }
    connection.value = 'unavailable';
  } catch {
    connection.value = 'unreachable';
  }
  schedule();
}
