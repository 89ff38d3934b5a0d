import { useQuery } from '@tanstack/preact-query';
import { useEffect, useId, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { isOrganisation } from './api/accounts';
import { settings } from './api/development';
import { isSearchable, search, type SearchResult } from './api/search';
import { isAdmin, isSupervisor, session } from './api/session';
import { signOut } from './api/sign-in';
import { Dialog } from './components/dialog';
import { Icon, type IconName } from './components/icons';
import { pathTo, pathToAccount } from './navigation';
import { places } from './places';
import { choose, theme } from './theme';

interface Choice {
  group: string;
  name: string;
  hint?: string;
  icon: IconName;
  /** An address, or what it does. */
  go: string | (() => void);
}

const KINDS: Record<SearchResult['kind'], [group: string, icon: IconName]> = {
  user: ['People', 'users'],
  organisation: ['Organisations', 'organisations'],
  api_key: ['API keys', 'keys'],
  model: ['Models', 'prices'],
  session: ['Sessions', 'sessions'],
  request: ['Requests', 'usage'],
};

/** How long a person pauses before the service is asked. */
const PAUSE_MILLISECONDS = 120;

/** Finds people, organisations, models, pages and actions, and goes there. */
export function Palette({ onClose, showKeys }: { onClose: () => void; showKeys: () => void }) {
  const { route } = useLocation();
  const id = useId();
  const [text, setText] = useState('');
  const [wanted, setWanted] = useState('');
  const [at, setAt] = useState(0);
  useEffect(() => {
    const timer = setTimeout(() => setWanted(text.trim()), PAUSE_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [text]);
  const isAsked = isSearchable(wanted);
  const { data, error, isFetching } = useQuery({
    queryKey: ['search', wanted],
    queryFn: ({ signal }) => search(wanted, signal),
    enabled: isAsked,
    // What was found stays until what comes next is there.
    placeholderData: (before) => before,
  });
  const words = text.trim().toLowerCase();
  const own = [...placesToGo(), ...actions(showKeys)].filter(({ name }) =>
    name.toLowerCase().includes(words),
  );
  const found = isAsked && words !== '' ? (data?.items ?? []).map(choiceOf) : [];
  const choices = words === '' ? own : [...found, ...own, ...olderCalls(text.trim())];
  const current = Math.min(at, choices.length - 1);
  const take = (choice: Choice | undefined) => {
    if (choice === undefined) return;
    onClose();
    if (typeof choice.go === 'string') route(choice.go);
    else choice.go();
  };
  const move = (to: number) => {
    const next = (to + choices.length) % choices.length;
    setAt(next);
    document.getElementById(`${id}-${next}`)?.scrollIntoView({ block: 'nearest' });
  };
  return (
    <Dialog title="Go to" onClose={onClose}>
      <div class="palette">
        <input
          type="text"
          role="combobox"
          aria-label="Search people, organisations, models, pages and actions"
          aria-expanded={choices.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={choices.length > 0 ? `${id}-${current}` : undefined}
          placeholder="A name, e-mail, id, model, page or action"
          spellcheck={false}
          autocomplete="off"
          autofocus
          value={text}
          onInput={({ currentTarget }) => {
            setText(currentTarget.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
              event.preventDefault();
              if (choices.length > 0) move(current + (event.key === 'ArrowDown' ? 1 : -1));
            } else if (event.key === 'Enter' && !event.isComposing) {
              event.preventDefault();
              take(choices[current]);
            }
          }}
        />
        <div id={`${id}-list`} role="listbox" aria-label="Results" class="choices">
          {choices.map((choice, index) => {
            const { group, name, hint, icon } = choice;
            return (
              <div
                key={index}
                id={`${id}-${index}`}
                role="option"
                aria-selected={index === current}
                // The focus stays in the field.
                onMouseDown={(event) => event.preventDefault()}
                onClick={() => take(choice)}
              >
                <Icon name={icon} size={16} />
                <span class="clip">{name}</span>
                <span class="hint clip">{hint}</span>
                <span class="hint">{group}</span>
              </div>
            );
          })}
        </div>
        <p class="hint" role="status">
          {error
            ? error.message
            : isFetching
              ? 'Searching…'
              : choices.length === 0
                ? `Nothing found for “${text.trim()}”`
                : data?.hasMore && found.length > 0
                  ? 'There are more: type more to find fewer'
                  : `${choices.length} to choose from`}
        </p>
      </div>
    </Dialog>
  );
}

const placesToGo = (): Choice[] =>
  places().map(({ name, icon, href, letter }) => ({
    group: 'Page',
    name,
    icon,
    go: href,
    hint: `g ${letter}`,
  }));

/** What can be done from anywhere; a form opens on its own page. */
function actions(showKeys: () => void): Choice[] {
  const form = (name: string, path: string, icon: IconName = 'plus'): Choice => ({
    group: 'Action',
    name,
    icon,
    go: path,
  });
  const isDark = theme.value === 'dark';
  return [
    form('New API key', `${pathTo('api-keys')}?open=key`),
    ...(isSupervisor.value || settings.value?.usersCreateOrganisations
      ? [form('New organisation', `${pathTo('organisations')}?open=organisation`)]
      : []),
    ...(isAdmin.value
      ? [
          form('New price rule', `${pathTo('prices')}?open=rule`),
          form('Import prices', `${pathTo('prices')}?open=import`, 'upload'),
          form('New webhook endpoint', `${pathTo('webhooks')}?open=endpoint`),
        ]
      : []),
    {
      group: 'Action',
      name: isDark ? 'Light theme' : 'Dark theme',
      icon: isDark ? 'sun' : 'moon',
      go: () => choose(isDark ? 'light' : 'dark'),
    },
    { group: 'Action', name: 'Keys', hint: '?', icon: 'menu', go: showKeys },
    { group: 'Action', name: 'Sign out', icon: 'logout', go: () => void signOut() },
  ];
}

/** The search looks at the newest calls only; the usage page searches all of them, as far back as a person wants. */
function olderCalls(text: string): Choice[] {
  if (!isAdmin.value || !isSearchable(text) || /\s/.test(text)) return [];
  return (['session', 'request'] as const).map((name) => ({
    group: 'Usage',
    name: `Calls of ${name} ${text}`,
    icon: 'usage',
    go: `${pathTo('usage')}?${new URLSearchParams({ [name]: text, days: '90' }).toString()}`,
  }));
}

function choiceOf(result: SearchResult): Choice {
  const [group, icon] = KINDS[result.kind];
  const hint = [result.name === result.id ? '' : result.id, result.detail ?? '']
    .filter((part) => part !== '')
    .join(' · ');
  return {
    group,
    icon,
    hint,
    name: result.name,
    ...(isCall(result) ? callNames(result) : {}),
    go: pathOf(result),
  };
}

const isCall = ({ kind }: SearchResult) => kind === 'session' || kind === 'request';
const callNames = ({ id, name, detail }: SearchResult) => ({ name: id, hint: `${name} · ${detail ?? ''}` });

function pathOf({ kind, id, accountId, userId, recordId }: SearchResult): string {
  const account = accountId ?? '';
  const isOwn = account === session.value?.userId;
  if (kind === 'model') return pathTo('prices', id);
  if (kind === 'api_key') return isOwn ? pathTo('api-keys') : pathToAccount(account, 'keys');
  if (recordId !== null)
    return `${pathTo('usage')}?${new URLSearchParams({ user: account, record: String(recordId) }).toString()}`;
  if (kind === 'session')
    return isOwn || isOrganisation(account) || !isSupervisor.value
      ? `${pathTo('sessions')}?${new URLSearchParams({ user: account }).toString()}`
      : pathTo('users', userId ?? account, 'sessions');
  return kind === 'user' && !isSupervisor.value ? pathTo('usage') : pathToAccount(account);
}
