import { effect, signal } from '@preact/signals';

export type Theme = 'light' | 'dark';
const STORED = 'accounting-console-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(STORED);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    // A browser may forbid storage; the choice then lasts until the page is closed.
    return null;
  }
}

export const theme = signal<Theme>(stored() ?? (system.matches ? 'dark' : 'light'));
system.addEventListener('change', () => {
  if (stored() === null) theme.value = system.matches ? 'dark' : 'light';
});
// Before the next drawing, because charts read their colours from the page.
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function choose(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // As above.
  }
}
