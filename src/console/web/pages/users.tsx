import { useQuery } from '@tanstack/preact-query';
import { useEffect, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { accounts, readerOf, type Account } from '../api/accounts';
import { usePages } from '../api/hooks';
import { CopyButton } from '../components/copy';
import { SearchField } from '../components/search';
import { Table } from '../components/table';
import { Badge, CountNote, Credits, Empty, Moment, PageHeader } from '../components/ui';
import { pathTo, useSearch } from '../navigation';
import { AccountOverview } from './account-overview';

export function Users() {
  const { route } = useLocation();
  const { search, setSearch } = useSearch();
  const query = search.search ?? '';
  const [text, setText] = useState(query);
  useEffect(() => {
    if (text === query) return;
    // Not at every letter: the search starts when the person pauses.
    const timer = setTimeout(() => setSearch({ search: text }), 200);
    return () => clearTimeout(timer);
  }, [text]);
  const pages = usePages(['accounts', query], (cursor, signal) => accounts(query, cursor, signal));
  return (
    <>
      <PageHeader title="Users" sub="Find a user by id, name or email" />
      <SearchField
        label="Search users"
        value={text}
        onChange={setText}
        placeholder="alice or alice@example.com"
        onEnter={() => {
          const only =
            pages.items.length === 1
              ? pages.items[0]
              : pages.items.find(({ userId }) => userId === text.trim());
          if (only) route(pathTo('users', only.userId));
        }}
      />
      <section class="card">
        <Table
          {...pages}
          caption="Users"
          keyOf={(account) => account.userId}
          rowClass={(account) => (account.totalCredits === 0 ? 'linked attention-row' : 'linked')}
          empty={
            <Empty icon="users" title={query === '' ? 'No users yet' : `No users match “${query}”`}>
              A user appears automatically with their first valid token or allocation.
            </Empty>
          }
          columns={[
            { header: 'User', cell: (account) => <UserCell account={account} /> },
            { header: 'Email', cell: (account) => <span class="clip">{account.email}</span>, isWide: true },
            { header: 'Role', cell: (account) => account.role, isWide: true },
            {
              header: 'Available',
              cell: (account) =>
                account.totalCredits === 0 ? (
                  <Badge tone="bad">0</Badge>
                ) : (
                  <Credits value={account.totalCredits} />
                ),
              isNumber: true,
            },
            {
              header: 'Held',
              cell: (account) => (account.heldCredits === 0 ? '–' : <Credits value={account.heldCredits} />),
              isNumber: true,
            },
            { header: 'Created', cell: (account) => <Moment at={account.createdAt} />, isWide: true },
          ]}
        />
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="user" />
      </section>
    </>
  );
}

function UserCell({ account }: { account: Account }) {
  return (
    <a href={pathTo('users', account.userId)} class="user-cell">
      <strong class="clip">{account.username}</strong>
      {account.username !== account.userId && <span class="hint clip">{account.userId}</span>}
    </a>
  );
}

export function UserPage({ userId, tab = 'allocations' }: { userId: string; tab?: string }) {
  const { data: account } = useQuery({
    queryKey: ['account', userId],
    queryFn: ({ signal }) => readerOf(userId).account(signal),
  });
  return (
    <>
      <p class="crumbs">
        <a href={pathTo('users')}>Users</a> <span aria-hidden="true">/</span> {userId}
      </p>
      <AccountOverview
        key={userId}
        accountId={userId}
        tab={tab}
        title={account?.username ?? userId}
        sub={
          <>
            <span class="mono">{userId}</span> <CopyButton text={userId} label="Copy user id" />
            {account && (
              <span>
                {account.email} · {account.role} · created <Moment at={account.createdAt} />
              </span>
            )}
          </>
        }
      />
    </>
  );
}
