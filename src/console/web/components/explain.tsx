import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { meaningOf } from '../figures';

/**
 * The meaning of a figure, shown by a button: on hover, and on a click for touch and keyboard. The button is a question
 * mark, or the word that it explains.
 */
export function Explain({ figure, word }: { figure: string; word?: ComponentChildren }) {
  const id = useId();
  const meaning = meaningOf(figure);
  return (
    <>
      <button
        type="button"
        class={word === undefined ? 'explain' : 'explained'}
        aria-label={word === undefined ? `What “${figure}” means` : undefined}
        aria-describedby={id}
        title={meaning}
        popovertarget={id}
      >
        {word ?? '?'}
      </button>
      <span id={id} class="explanation" data-figure={figure} popover="auto">
        {meaning}
      </span>
    </>
  );
}
