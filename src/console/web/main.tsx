import '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { session } from './api/session';
import { Toasts } from './components/toasts';
import { Empty, PageHeader } from './components/ui';
import { ApiKeys } from './pages/api-keys';
import { Overview } from './pages/overview';
import { ModelPage, Prices } from './pages/prices';
import { Quarantine } from './pages/quarantine';
import { Review } from './pages/review';
import { Sessions } from './pages/sessions';
import { SignIn } from './pages/sign-in';
import { Usage } from './pages/usage';
import { UserPage, Users } from './pages/users';
import { WebhookPage } from './pages/webhook';
import { Webhooks } from './pages/webhooks';
import { address, Link, segments } from './router';
import { Outage, Shell } from './shell';
import './style/base.css';
import './style/components.css';

function Page() {
  const [section, id, tab] = segments.value;
  switch (section) {
    case undefined:
      return <Overview />;
    case 'users':
      return id === undefined ? <Users /> : <UserPage key={id} userId={id} tab={tab ?? 'lots'} />;
    case 'sessions':
      return <Sessions />;
    case 'usage':
      return <Usage />;
    case 'prices':
      return id === undefined ? <Prices /> : <ModelPage key={id} modelId={id} />;
    case 'api-keys':
      return <ApiKeys />;
    case 'review':
      return <Review />;
    case 'quarantine':
      return <Quarantine />;
    case 'webhooks':
      return id === undefined ? <Webhooks /> : <WebhookPage key={id} id={Number(id)} />;
    default:
      return (
        <>
          <PageHeader title="Not found" />
          <Empty icon="warning" title="There is no such page">
            <Link to="/">Go to the overview</Link>
          </Empty>
        </>
      );
  }
}

function App() {
  const isSignedIn = session.value !== null;
  const { path } = address.value;
  useEffect(() => {
    const name = document.querySelector('h1')?.textContent ?? 'Console';
    document.title = `${name} · Accounting`;
  }, [path, isSignedIn]);
  return (
    <>
      {isSignedIn ? (
        <Shell>
          <Page />
        </Shell>
      ) : (
        <>
          <Outage />
          <SignIn />
        </>
      )}
      <Toasts />
    </>
  );
}

render(<App />, document.getElementById('app') as HTMLElement);
