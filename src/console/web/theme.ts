import { effect, signal } from '@preact/signals';
import { store, stored } from './stored';

export type Theme = 'light' | 'dark';
const system = matchMedia('(prefers-color-scheme: dark)');

function chosen(): Theme | null {
  const value = stored('theme');
  return value === 'light' || value === 'dark' ? value : null;
}

export const theme = signal<Theme>(chosen() ?? (system.matches ? 'dark' : 'light'));
system.addEventListener('change', () => {
  if (chosen() === null) theme.value = system.matches ? 'dark' : 'light';
});
// Before the next drawing, because charts read their colours from the page.
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function choose(next: Theme): void {
  theme.value = next;
  store('theme', next);
}
