import { isAdmin, isSupervisor } from './api/session';
import type { IconName } from './components/icons';
import { BASE, pathTo } from './navigation';

export interface Place {
  href: string;
  name: string;
  icon: IconName;
  /** Goes there after a `g`. */
  letter: string;
}

const place = (path: string, name: string, icon: IconName, letter: string): Place => ({
  href: path === '' ? BASE : pathTo(path),
  name,
  icon,
  letter,
});

/** The pages that are of use to this role; the API decides what it may do. */
export const places = (): Place[] => [
  place('', 'Overview', 'overview', 'o'),
  ...(isSupervisor.value ? [place('users', 'Users', 'users', 'u')] : []),
  place('organisations', 'Organisations', 'organisations', 'r'),
  place('sessions', 'Sessions', 'sessions', 's'),
  place('usage', 'Usage', 'usage', 'c'),
  place('prices', 'Prices', 'prices', 'p'),
  place('api-keys', 'API keys', 'keys', 'k'),
  place('activity', 'Activity', 'clock', 'a'),
  ...(isAdmin.value
    ? [
        place('review', 'Review', 'review', 'v'),
        place('quarantine', 'Quarantine', 'inbox', 'q'),
        place('alerts', 'Alerts', 'bell', 'l'),
        place('webhooks', 'Webhooks', 'send', 'w'),
      ]
    : []),
];
