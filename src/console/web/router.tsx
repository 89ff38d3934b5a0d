import { computed, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

const BASE = '/console';

interface Address {
  /** Below `/console`, beginning with a slash. */
  readonly path: string;
  readonly search: URLSearchParams;
}

function readAddress(): Address {
  const path = location.pathname.slice(BASE.length).replace(/\/+$/, '');
  return { path: path === '' ? '/' : path, search: new URLSearchParams(location.search) };
}

export const address = signal(readAddress());
export const search = computed(() => address.value.search);
addEventListener('popstate', () => (address.value = readAddress()));

export function navigate(path: string, { replace = false } = {}): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', BASE + path);
  const isOtherPage = address.value.path !== readAddress().path;
  address.value = readAddress();
  if (isOtherPage) scrollTo(0, 0);
}

/** Filters live in the address: they can be shared, and Back takes them back. */
export function setSearch(changes: Record<string, string | null>): void {
  const next = new URLSearchParams(search.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  navigate(address.value.path + (text === '' ? '' : `?${text}`), { replace: true });
}

/** The path's parts, decoded: `/users/a%2Fb` has `users` and `a/b`. */
export const segments = computed(() =>
  address.value.path
    .split('/')
    .filter((part) => part !== '')
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    }),
);

export const pathTo = (...parts: string[]) => `/${parts.map(encodeURIComponent).join('/')}`;

interface LinkProps {
  to: string;
  class?: string;
  title?: string;
  'aria-current'?: 'page' | undefined;
  children: ComponentChildren;
}

/** A real link: it opens in another tab as any other does. */
export function Link({ to, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a {...rest} href={BASE + to} onClick={follow}>
      {children}
    </a>
  );
}
