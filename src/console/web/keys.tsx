import { useEffect, useRef } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { Dialog } from './components/dialog';
import { isPageKey, usesSingleKeys } from './page-keys';
import { places } from './places';
import { store } from './stored';

/** What lies over the page because of a key. */
export type Overlay = 'palette' | 'keys' | null;

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
export const PALETTE_KEY = isMac ? '⌘ K' : 'Ctrl K';

/** How long after a `g` a letter still belongs to it. */
const SEQUENCE_MILLISECONDS = 1500;

/** The keys of every page. */
export function useKeys(show: (overlay: Overlay) => void): void {
  const { route } = useLocation();
  const startedAt = useRef(0);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k' && !event.shiftKey) {
        // What a person is filling in stays open.
        if (document.querySelector('dialog[open]') !== null) return;
        event.preventDefault();
        show('palette');
        return;
      }
      if (!isPageKey(event)) return;
      if (event.key === '?') show('keys');
      const isSecond = event.timeStamp - startedAt.current < SEQUENCE_MILLISECONDS;
      startedAt.current = event.key === 'g' ? event.timeStamp : 0;
      const place = isSecond ? places().find(({ letter }) => letter === event.key) : undefined;
      if (place !== undefined) route(place.href);
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);
}

const GENERAL: [keys: string[], what: string][] = [
  [[PALETTE_KEY], 'Search, and go anywhere'],
  [['/'], 'Search on this page'],
  [['?'], 'This map of keys'],
  [['Esc'], 'Close what is open'],
  [['Tab'], 'To the next link, button or field'],
];

/** The map of keys. */
export function Keys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div class="dialog-body">
        <dl class="facts">
          {[
            ...GENERAL,
            ...places().map(({ name, letter }): [string[], string] => [['g', letter], `Go to ${name}`]),
          ].map(([keys, what]) => (
            <div key={what}>
              <dt>{what}</dt>
              <dd>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dd>
            </div>
          ))}
        </dl>
        <label class="check">
          <input
            type="checkbox"
            checked={usesSingleKeys.value}
            onChange={({ currentTarget: { checked } }) => {
              usesSingleKeys.value = checked;
              store('single-keys', checked ? null : 'off');
            }}
          />
          Use keys that are a single character
        </label>
      </div>
    </Dialog>
  );
}
