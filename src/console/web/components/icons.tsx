/** Strokes on a grid of 24, drawn for this console. */
const PATHS = {
  overview: 'M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z',
  users:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.5-3.5 3-5.5 6.5-5.500s6 2 6.5 5.500M16 4.500a3.5 3.5 0 0 1 0 6.500M18 15c2 .7 3.2 2.4 3.5 5',
  organisations: 'M9 3h6v5H9zM3 16h6v5H3zM15 16h6v5h-6zM12 8v4M6 16v-4h12v4',
  budget: 'M4 17a8 8 0 1 1 16 0M12 17l4-6M3 20.500h18',
  sessions: 'M3 12h4l3-7 4 14 3-7h4',
  usage: 'M5 20V10M12 20V4M19 20v-7',
  prices: 'M12.5 3H20v7.500l-9.5 9.5-7.5-7.500zM16.5 7.500v.01',
  keys: 'M14.5 14a5 5 0 1 0-4.7-3.300L3 17.500V21h3.500v-2.500H9V16h2.300l1-1a5 5 0 0 0 2.2.5zM16 8v.01',
  review: 'M9 4h6v3H9zM15 5.500h3V21H6V5.500h3M9 14l2 2 4-4',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.500M17.5 17.5 19 19M5 19l1.5-1.500M17.5 6.5 19 5',
  moon: 'M20 14.500A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.500z',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  check: 'M5 13l4 4L19 7',
  warning: 'M12 4 2.5 20h19zM12 10v4.500M12 17.500v.01',
  close: 'M6 6l12 12M18 6 6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  download: 'M12 4v11M7.5 11l4.5 4.5 4.5-4.500M4 20h16',
  upload: 'M12 16V5M7.5 9 12 4.5 16.5 9M4 20h16',
  rotate:
    'M20 11a8 8 0 0 0-14.5-3.500L3.5 10M3.5 4.500V10H9M4 13a8 8 0 0 0 14.5 3.500l2-2.500M20.5 19.500V14H15',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  arrow: 'M5 12h14M13 6l6 6-6 6',
  logout: 'M14 4H5v16h9M10 12h11M17 8l4 4-4 4',
  bell: 'M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.500a2 2 0 0 0 4 0',
  send: 'M21 3 10 14M21 3l-6.500 18-4.500-7-7-4.500z',
  inbox: 'M3 13h5l1.500 3h5l1.500-3h5M5.500 5h13L21 13v6H3v-6z',
  pause: 'M8.500 5v14M15.500 5v14',
  play: 'M7 5l12 7-12 7z',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2',
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
