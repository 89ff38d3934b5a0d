import '@preact/signals';
import { QueryClientProvider } from '@tanstack/preact-query';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { LocationProvider, Route, Router, useLocation } from 'preact-iso/router';
import { queryClient } from './api/query-client';
import { session } from './api/session';
import { isRestoring, start } from './api/sign-in';
import './components/event-toasts';
import { Toasts } from './components/toasts';
import { BASE } from './navigation';
import { ActivityLog } from './pages/activity-log';
import { Alerts } from './pages/alerts';
import { ApiKeys } from './pages/api-keys';
import { NotFound } from './pages/not-found';
import { OrganisationPage } from './pages/organisation';
import { Organisations } from './pages/organisations';
import { Overview } from './pages/overview';
import { ModelPage, Prices } from './pages/prices';
import { Quarantine } from './pages/quarantine';
import { RecordPanel } from './pages/record-panel';
import { Review } from './pages/review';
import { Sessions } from './pages/sessions';
import { SignIn } from './pages/sign-in';
import { Usage } from './pages/usage';
import { UserPage, Users } from './pages/users';
import { WebhookPage } from './pages/webhook';
import { Webhooks } from './pages/webhooks';
import { Outage, Shell } from './shell';
import './style/base.css';
import './style/components.css';

function Pages() {
  return (
    <Router>
      <Route path={BASE} component={Overview} />
      <Route path={`${BASE}/users`} component={Users} />
      <Route path={`${BASE}/users/:userId/:tab?`} component={UserPage} />
      <Route path={`${BASE}/organisations`} component={Organisations} />
      <Route path={`${BASE}/organisations/:id/:tab?`} component={OrganisationPage} />
      <Route path={`${BASE}/sessions`} component={Sessions} />
      <Route path={`${BASE}/usage`} component={Usage} />
      <Route path={`${BASE}/prices`} component={Prices} />
      <Route path={`${BASE}/prices/:modelId`} component={ModelPage} />
      <Route path={`${BASE}/api-keys`} component={ApiKeys} />
      <Route path={`${BASE}/review`} component={Review} />
      <Route path={`${BASE}/quarantine`} component={Quarantine} />
      <Route path={`${BASE}/activity`} component={ActivityLog} />
      <Route path={`${BASE}/alerts`} component={Alerts} />
      <Route path={`${BASE}/webhooks`} component={Webhooks} />
      <Route path={`${BASE}/webhooks/:id`} component={WebhookPage} />
      <Route default component={NotFound} />
    </Router>
  );
}

/** The router decodes the parts of a path, and a typed address may have a percent sign that encodes nothing. */
function isDecodable(path: string): boolean {
  try {
    // Its result is used, because the bundler removes a call without an effect.
    return decodeURIComponent(path) !== '';
  } catch {
    return false;
  }
}

function App() {
  const isSignedIn = session.value !== null;
  const { path } = useLocation();
  useEffect(() => {
    if (!isSignedIn) document.title = 'Sign in · Accounting';
  }, [isSignedIn]);
  if (isRestoring.value) return <main aria-busy="true" />;
  return (
    <>
      {isSignedIn ? (
        <Shell beside={<RecordPanel />}>{isDecodable(path) ? <Pages /> : <NotFound />}</Shell>
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

void start();
render(
  <LocationProvider scope={BASE}>
    <QueryClientProvider client={queryClient}>
      <App />
    </QueryClientProvider>
  </LocationProvider>,
  document.getElementById('app') as HTMLElement,
);
