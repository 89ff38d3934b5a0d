import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { connection, nextAttempt, tryNow } from './api/connection';
import { end, isAdmin, isSupervisor, session } from './api/session';
import { Icon, type IconName } from './components/icons';
import { Button } from './components/ui';
import { address, Link, segments } from './router';
import { choose, theme } from './theme';

interface Place {
  to: string;
  name: string;
  icon: IconName;
}

const ADMIN_PLACES: Place[] = [
  { to: '/review', name: 'Review', icon: 'review' },
  { to: '/quarantine', name: 'Quarantine', icon: 'inbox' },
  { to: '/webhooks', name: 'Webhooks', icon: 'send' },
];

/** What is worth showing to this role; what it may do, the API says. */
function places(): Place[] {
  return [
    { to: '/', name: 'Overview', icon: 'overview' },
    ...(isSupervisor.value ? [{ to: '/users', name: 'Users', icon: 'users' } as const] : []),
    { to: '/sessions', name: 'Sessions', icon: 'sessions' },
    { to: '/usage', name: 'Usage', icon: 'usage' },
    { to: '/prices', name: 'Prices', icon: 'prices' },
    { to: '/api-keys', name: 'API keys', icon: 'keys' },
    ...(isAdmin.value ? ADMIN_PLACES : []),
  ];
}

export function ThemeSwitch() {
  const isDark = theme.value === 'dark';
  return (
    <Button
      kind="quiet"
      icon={isDark ? 'sun' : 'moon'}
      aria-label={isDark ? 'Light colours' : 'Dark colours'}
      title={isDark ? 'Light colours' : 'Dark colours'}
      onClick={() => choose(isDark ? 'light' : 'dark')}
    />
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { path } = address.value;
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    if (first.current) {
      first.current = false;
      return;
    }
    // Who listens to the page hears where they are now.
    main.current?.querySelector('h1')?.focus({ preventScroll: true });
  }, [path]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => event.key === 'Escape' && setOpen(false);
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);
  const here = `/${segments.value[0] ?? ''}`;
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
        Skip to the content
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
          <nav aria-label="Pages">
            {places().map(({ to, name, icon }) => (
              <Link key={to} to={to} class="place" aria-current={to === here ? 'page' : undefined}>
                <Icon name={icon} />
                {name}
              </Link>
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
            <Button kind="quiet" icon="logout" aria-label="Sign out" title="Sign out" onClick={() => end()} />
          </div>
        </div>
      </header>
      <div class="page">
        <Outage />
        <main id="content" ref={main} tabIndex={-1}>
          {children}
        </main>
      </div>
    </div>
  );
}

/** That the service is away, and that the page comes back by itself. */
export function Outage() {
  if (connection.value === 'up') return <div role="status" class="unseen" />;
  return (
    <div class="outage" role="status">
      <Icon name="warning" />
      <span>
        {connection.value === 'unreachable'
          ? 'The service cannot be reached.'
          : 'The service is up, but its database does not answer.'}{' '}
        What you see may be old; the page goes on by itself when it is back. Next attempt in about{' '}
        {nextAttempt.value} s.
      </span>
      <Button kind="quiet" onClick={tryNow}>
        Try now
      </Button>
    </div>
  );
}
