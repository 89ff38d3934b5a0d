import { readerOf } from '../api/accounts';
import { session } from '../api/session';
import { Card, PageHeader } from '../components/ui';
import { KeyTable } from './key-table';
import { NewKey } from './new-key';

export function ApiKeys() {
  const accountId = session.value?.userId ?? '';
  return (
    <>
      <PageHeader title="API keys" sub="Keys let programs act on your behalf with limited permissions">
        <NewKey accountId={accountId} kind="primary" />
      </PageHeader>
      <Card>
        <KeyTable reader={readerOf(accountId)} />
      </Card>
    </>
  );
}
