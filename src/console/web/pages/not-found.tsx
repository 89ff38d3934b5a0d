import { Empty, PageHeader } from '../components/ui';
import { BASE } from '../navigation';

export function NotFound() {
  return (
    <>
      <PageHeader title="Not found" />
      <Empty icon="warning" title="There is no such page">
        <a href={BASE}>Go to the overview</a>
      </Empty>
    </>
  );
}
