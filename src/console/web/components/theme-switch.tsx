import { choose, theme } from '../theme';
import { Button } from './ui';

export function ThemeSwitch() {
  const isDark = theme.value === 'dark';
  const label = isDark ? 'Light theme' : 'Dark theme';
  return (
    <Button
      kind="quiet"
      icon={isDark ? 'sun' : 'moon'}
      aria-label={label}
      title={label}
      onClick={() => choose(isDark ? 'light' : 'dark')}
    />
  );
}
