import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { connection, nextAttempt, tryNow } from './api/connection';
import { session } from './api/session';
import { signOut } from './api/sign-in';
import { Icon } from './components/icons';
import { ThemeSwitch } from './components/theme-switch';
import { Button } from './components/ui';
import { Keys, type Overlay, PALETTE_KEY, useKeys } from './keys';
import { BASE } from './navigation';
import { Palette } from './palette';
import { places } from './places';

/** @param beside what lies over the edge of any page */
export function Shell({ children, beside }: { children: ComponentChildren; beside: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false);
  const [overlay, show] = useState<Overlay>(null);
  useKeys(show);
  const main = useRef<HTMLElement>(null);
  const { path } = useLocation();
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    if (first.current) {
      first.current = false;
      return;
    }
    // A screen reader announces the new page.
    main.current?.querySelector('h1')?.focus({ preventScroll: true });
  }, [path]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => event.key === 'Escape' && setOpen(false);
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);
  const isHere = (href: string) => path === href || (href !== BASE && path.startsWith(`${href}/`));
  return (
    <div class="shell">
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to content
      </a>
      <header class={isOpen ? 'sidebar open' : 'sidebar'}>
        <div class="brand">
          <span class="logo" aria-hidden="true" />
          Accounting
          <button
            type="button"
            class="button quiet menu"
            aria-expanded={isOpen}
            aria-controls="places"
            aria-label="Menu"
            onClick={() => setOpen(!isOpen)}
          >
            <Icon name={isOpen ? 'close' : 'menu'} />
          </button>
        </div>
        <div id="places" class="places">
          <button type="button" class="place find" onClick={() => show('palette')}>
            <Icon name="search" />
            Search
            <kbd aria-hidden="true">{PALETTE_KEY}</kbd>
          </button>
          <nav aria-label="Pages">
            {places().map(({ href, name, icon }) => (
              <a key={href} href={href} class="place" aria-current={isHere(href) ? 'page' : undefined}>
                <Icon name={icon} />
                {name}
              </a>
            ))}
          </nav>
          <div class="me">
            <div>
              <span class="clip" title={session.value?.userId}>
                {session.value?.username}
              </span>
              <span class="hint">{session.value?.role}</span>
            </div>
            <ThemeSwitch />
            <Button
              kind="quiet"
              icon="logout"
              aria-label="Sign out"
              title="Sign out"
              onClick={() => void signOut()}
            />
          </div>
        </div>
      </header>
      <div class="page">
        <Outage />
        <main id="content" ref={main} tabIndex={-1}>
          {children}
        </main>
      </div>
      {beside}
      {overlay === 'palette' && <Palette onClose={() => show(null)} showKeys={() => show('keys')} />}
      {overlay === 'keys' && <Keys onClose={() => show(null)} />}
    </div>
  );
}

/** Reports that the service is away; the page reconnects by itself. */
export function Outage() {
  if (connection.value === 'up') return <div role="status" class="unseen" />;
  return (
    <div class="outage" role="status">
      <Icon name="warning" />
      <span>
        {connection.value === 'unreachable'
          ? 'The service cannot be reached.'
          : 'The service is running, but its database is not responding.'}{' '}
        The data shown may be out of date. The page reconnects automatically; next attempt in about{' '}
        {nextAttempt.value} s.
      </span>
      <Button kind="quiet" onClick={tryNow}>
        Retry now
      </Button>
    </div>
  );
}
