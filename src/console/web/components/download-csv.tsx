import { send } from '../api/client';
import { useAction } from '../api/hooks';
import { problemOf } from '../api/problem';
import { toast } from './toasts';
import { Button } from './ui';

/** Downloads all rows of a list, which the address answers as CSV. */
export function DownloadCsv({ address, fileName }: { address: string; fileName: string }) {
  const download = useAction(
    async () => {
      const response = await send(
        new Request(`${location.origin}${address}`, { headers: { Accept: 'text/csv' } }),
      );
      if (!response.ok)
        throw problemOf(response.status, await response.json().catch(() => null), response.headers);
      save(await response.blob(), fileName);
      toast('CSV downloaded', 'good');
    },
    { isRead: true },
  );
  return (
    <>
      <Button icon="download" isBusy={download.isBusy} onClick={() => void download.run()}>
        CSV
      </Button>
      {download.problem && (
        <p class="note bad" role="alert">
          {download.problem.message}
        </p>
      )}
    </>
  );
}

function save(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // By then the browser has started to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
