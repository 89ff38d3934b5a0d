import { useEffect, useState } from 'preact/hooks';
import { sessionWith } from '../api/client';
import { developmentToken, type DevelopmentPerson, settings as known } from '../api/development';
import { type Action, useAction } from '../api/hooks';
import { reconnections } from '../api/connection';
import { begin, endedBecause, readToken, type Role } from '../api/session';
import { restore, signInAddress, signInProblem } from '../api/sign-in';
import { Field, Select } from '../components/form';
import { Button } from '../components/ui';
import { ThemeSwitch } from '../components/theme-switch';

const ROLES: [Role, string][] = [
  ['admin', 'admin (everything)'],
  ['supervisor', 'supervisor (users and their credits)'],
  ['user', 'user (own account)'],
];

export function SignIn() {
  const settings = known.value;
  const comebacks = reconnections.value;
  useEffect(() => {
    if (settings === null || comebacks > 0) void restore();
  }, [comebacks]);
  const signIn = useAction(async (text: string) => begin(await sessionWith(readToken(text))));
  const tokenForm = <TokenForm signIn={signIn} />;
  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <div class="brand large">
          <span class="logo" aria-hidden="true" />
          Accounting
        </div>
        <div>
          <h1>Sign in to the console</h1>
          <p class="hint">Credits, usage, prices and API keys for your LLM platform</p>
        </div>
        {endedBecause.value !== null && (
          <p class="note warn" role="status">
            {endedBecause.value} Sign in again to continue where you left off.
          </p>
        )}
        {signInProblem.value !== null && (
          <p class="note bad" role="alert">
            {signInProblem.value}
          </p>
        )}
        {settings?.signIn && (
          <a class="button primary" href={signInAddress()}>
            Sign in
          </a>
        )}
        {settings?.developmentTokens && (
          <DevelopmentSignIn people={settings.people ?? []} signIn={(text) => signIn.run(text)} />
        )}
        {settings?.signIn && settings.takesTokens && (
          <details>
            <summary>Use an access token</summary>
            {tokenForm}
          </details>
        )}
        {!settings?.signIn && tokenForm}
        <footer class="hint">
          <ThemeSwitch />
          {settings && <span>Version {settings.version}</span>}
        </footer>
      </div>
    </main>
  );
}

/** For a person who has a token: in development, and where no provider is configured. */
function TokenForm({ signIn }: { signIn: Action<[text: string], void> }) {
  const [token, setToken] = useState('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void signIn.run(token);
      }}
    >
      <div class="field">
        <label for="token">Access token</label>
        <textarea
          id="token"
          rows={4}
          spellcheck={false}
          autocomplete="off"
          value={token}
          required
          aria-invalid={signIn.problem !== null}
          aria-describedby="token-hint"
          onInput={(event) => setToken(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey) {
              event.preventDefault();
              event.currentTarget.form?.requestSubmit();
            }
          }}
        />
        <p id="token-hint" class="hint">
          The token from your platform’s sign-in. It is kept in this page’s memory only: reloading the page
          discards it.
        </p>
      </div>
      {signIn.problem && (
        <p class="note bad" role="alert">
          {signIn.problem.status === 401
            ? `The service rejected this token: ${signIn.problem.message}.`
            : signIn.problem.message}
        </p>
      )}
      <Button type="submit" kind="primary" isBusy={signIn.isBusy} disabled={token.trim() === ''}>
        Sign in
      </Button>
    </form>
  );
}

interface DevelopmentSignInProps {
  people: DevelopmentPerson[];
  signIn: (token: string) => Promise<unknown>;
}

function DevelopmentSignIn({ people, signIn }: DevelopmentSignInProps) {
  const [name, setName] = useState('alice');
  const [role, setRole] = useState<string>('admin');
  const start = useAction(async (sub: string, as: Role) => {
    await signIn(await developmentToken(sub, as));
  });
  const form = (
    <form
      class={people.length === 0 ? 'development' : ''}
      onSubmit={(event) => {
        event.preventDefault();
        void start.run(name.trim(), role as Role);
      }}
    >
      {people.length === 0 && (
        <p class="hint">This is a development service on your machine: sign in as any user.</p>
      )}
      <div class="row">
        <Field label="User" name="sub" value={name} onChange={setName} required problem={start.problem} />
        <Select label="Role" value={role} options={ROLES} onChange={setRole} />
      </div>
      {start.problem && (
        <p class="note bad" role="alert">
          {start.problem.message}
        </p>
      )}
      <Button type="submit" kind="primary" isBusy={start.isBusy} disabled={name.trim() === ''}>
        Sign in with a development token
      </Button>
    </form>
  );
  if (people.length === 0) return form;
  return (
    <section class="development" aria-label="Demo users">
      <p class="hint">This is the demo. Sign in as one of these users.</p>
      <ul class="people">
        {people.map(({ sub, username, role: theirs, hint }) => (
          <li key={sub}>
            <button type="button" disabled={start.isBusy} onClick={() => void start.run(sub, theirs)}>
              <strong>{username}</strong>
              <span class="hint">{hint}</span>
            </button>
          </li>
        ))}
      </ul>
      <details>
        <summary>Another user</summary>
        {form}
      </details>
    </section>
  );
}
