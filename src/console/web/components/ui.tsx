import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { isOrganisation } from '../api/accounts';
import type { Problem } from '../api/problem';
import { isSupervisor } from '../api/session';
import { plural, relative, time, whole } from '../format';
import { pathTo, pathToAccount } from '../navigation';
import { Explain } from './explain';
import { Icon, type IconName } from './icons';
import { Limits } from './limits';

interface ButtonProps extends Omit<ButtonHTMLAttributes, 'disabled' | 'children'> {
  kind?: 'primary' | 'danger' | 'quiet' | 'plain';
  icon?: IconName;
  isBusy?: boolean;
  disabled?: boolean;
  children?: ComponentChildren;
}

export function Button({ kind = 'plain', icon, isBusy = false, children, disabled, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} class={`button ${kind}`} disabled={disabled || isBusy} aria-busy={isBusy}>
      {isBusy ? <span class="spinner" aria-hidden="true" /> : icon && <Icon name={icon} size={16} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

interface CardProps {
  title?: ComponentChildren;
  hint?: ComponentChildren;
  actions?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

export function Card({ title, hint, actions, class: name = '', children }: CardProps) {
  return (
    <section class={`card ${name}`}>
      {(title !== undefined || actions !== undefined) && (
        <header class="card-header">
          <div>
            <h2>{title}</h2>
            {hint !== undefined && <p class="hint">{hint}</p>}
          </div>
          {actions !== undefined && <div class="actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export type Tone = 'neutral' | 'good' | 'warn' | 'bad' | 'accent';

export function Badge({ tone = 'neutral', children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

interface StatProps {
  label: string;
  /** The section in docs/figures.md that explains it. */
  figure?: string;
  value: ComponentChildren;
  note?: ComponentChildren;
  tone?: Tone;
  href?: string | undefined;
}

/** A figure. With an address the whole of it is a link, but for the button that explains it. */
export function Stat({ label, figure, value, note, tone = 'neutral', href }: StatProps) {
  const content = (
    <>
      <span class="stat-label">{label}</span>
      <span class={`stat-value ${tone}`}>{value ?? <span class="skeleton wide" />}</span>
      <span class="stat-note">{note}</span>
    </>
  );
  return (
    <div class="stat">
      {href === undefined ? content : <a href={href}>{content}</a>}
      {figure !== undefined && <Explain figure={figure} />}
    </div>
  );
}

/** A figure that docs/figures.md explains under its own name. */
export const Figure = (props: StatProps) => <Stat figure={props.label} {...props} />;

export function Empty({
  icon = 'inbox',
  title,
  children,
}: {
  icon?: IconName;
  title: string;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <Icon name={icon} size={28} />
      <p class="empty-title">{title}</p>
      {children !== undefined && <div class="hint">{children}</div>}
    </div>
  );
}

/** Shown in place of data that could not be loaded, with what a person can do about it. */
export function Trouble({ problem, retry }: { problem: Problem; retry?: () => void }) {
  if (problem.isForbidden) {
    return (
      <Empty icon="warning" title="Your role does not allow this">
        Response of the service: {problem.message}. An admin can give you a different role.
      </Empty>
    );
  }
  return (
    <div class="empty" role="alert">
      <Icon name="warning" size={28} />
      <p class="empty-title">{problem.isMissing ? 'Not found' : 'Couldn’t load data'}</p>
      <p class="hint">{problem.message}</p>
      <Limits limits={problem.limits} />
      {problem.requestId !== null && <p class="hint">Request ID: {problem.requestId}</p>}
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

export function Skeleton({ rows = 4 }: { rows?: number }) {
  return (
    <div class="skeletons" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, index) => (
        <span class="skeleton" key={index} />
      ))}
    </div>
  );
}

/** A time in words, with the exact time as its title; or the other way round. */
export function Moment({ at, exact = false }: { at: string; exact?: boolean }) {
  useTick(30_000);
  return (
    <time dateTime={at} title={exact ? relative(at) : time(at)}>
      {exact ? time(at) : relative(at)}
    </time>
  );
}

/** Draws again at intervals, so that ages grow while nothing else happens. */
export function useTick(milliseconds: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
  return now;
}

export function Credits({ value, isSigned = false }: { value: number; isSigned?: boolean }) {
  if (!isSigned) return <span class="number">{whole(value)}</span>;
  const text = value > 0 ? `+${whole(value)}` : whole(value).replace('-', '−');
  return <span class={`number ${value > 0 ? 'good-text' : ''}`}>{text}</span>;
}

export function UserLink({ userId }: { userId: string }) {
  return <a href={pathTo('users', userId)}>{userId}</a>;
}

/** A user's page is for supervisors; an organisation's also for its members. */
export function AccountLink({ accountId }: { accountId: string }) {
  if (!isSupervisor.value && !isOrganisation(accountId)) return <>{accountId}</>;
  return <a href={pathToAccount(accountId)}>{accountId}</a>;
}

interface SegmentedProps<Value extends string> {
  label: string;
  value: Value;
  options: readonly (readonly [value: Value, label: string])[];
  onChange: (value: Value) => void;
}

export function Segmented<Value extends string>({ label, value, options, onChange }: SegmentedProps<Value>) {
  return (
    <div class="segmented" role="group" aria-label={label}>
      {options.map(([option, text]) => (
        <button type="button" key={option} aria-pressed={option === value} onClick={() => onChange(option)}>
          {text}
        </button>
      ))}
    </div>
  );
}

export function Tabs({
  label,
  current,
  tabs,
}: {
  label: string;
  current: string;
  tabs: [id: string, text: string, href: string][];
}) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(([id, text, href]) => (
        <a key={id} href={href} aria-current={id === current ? 'page' : undefined}>
          {text}
        </a>
      ))}
    </nav>
  );
}

export function PageHeader({
  title,
  sub,
  children,
}: {
  title: ComponentChildren;
  sub?: ComponentChildren;
  children?: ComponentChildren;
}) {
  // The name of an account may come after its id.
  useEffect(() => {
    if (typeof title === 'string') document.title = `${title} · Accounting`;
  }, [title]);
  return (
    <header class="page-header">
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {sub !== undefined && <p class="hint">{sub}</p>}
      </div>
      {children !== undefined && <div class="actions">{children}</div>}
    </header>
  );
}

interface CountNoteProps {
  count: number;
  hasMore: boolean;
  one: string;
  many?: string;
}

/** How many rows a list has; an empty list shows its own message. */
export function CountNote({ count, hasMore, one, many }: CountNoteProps) {
  if (count === 0) return null;
  return (
    <p class="hint count-note">
      {hasMore ? `First ${whole(count)} shown; scroll for more` : plural(count, one, many)}
    </p>
  );
}
