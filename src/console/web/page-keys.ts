import { signal } from '@preact/signals';
import { stored } from './stored';

/** Single characters can be turned off: those who speak to their computer would press them by speaking. */
export const usesSingleKeys = signal(stored('single-keys') !== 'off');

/** Whether a single character is for the page, and neither for a field nor for what lies over the page. */
export function isPageKey(event: KeyboardEvent): boolean {
  const { target } = event;
  return (
    usesSingleKeys.value &&
    !event.ctrlKey &&
    !event.metaKey &&
    !event.altKey &&
    !(target instanceof HTMLElement && target.matches('input, textarea, select')) &&
    document.querySelector('dialog[open]') === null
  );
}
