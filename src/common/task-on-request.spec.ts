import { Logger } from '@nestjs/common';
import { describe, expect, it, vi } from 'vitest';
import { TaskOnRequest } from './task-on-request.js';

const logger = new Logger('test');

/** A task whose runs end when the test says so. */
function heldTask() {
  const ends: ((error?: Error) => void)[] = [];
  const run = vi.fn(
    () => new Promise<void>((done, fail) => ends.push((error) => (error ? fail(error) : done()))),
  );
  return { ends, run, task: new TaskOnRequest(logger, 'Task', run) };
}

describe('a task on request', () => {
  it('runs once more, however often it is requested during a run, and never twice at once', async () => {
    const { ends, run, task } = heldTask();
    const requests = [task.request(), task.request(), task.request()];
    expect(run).toHaveBeenCalledTimes(1);
    ends[0]?.();
    await vi.waitFor(() => expect(run).toHaveBeenCalledTimes(2));
    ends[1]?.();
    await Promise.all(requests);
    expect(run).toHaveBeenCalledTimes(2);
  });

  it('loses no request that comes at the very end of a run', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const { ends, run, task } = heldTask();
      const first = task.request();
      ends[0]?.();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const second = task.request();
      await vi.waitFor(() => expect(run).toHaveBeenCalledTimes(2));
      ends[1]?.();
      await Promise.all([first, second]);
    }
  });

  it('runs again after it has failed, and says that it has', async () => {
    const warn = vi.spyOn(logger, 'warn').mockReturnValue();
    const { ends, run, task } = heldTask();
    const failed = task.request();
    ends[0]?.(new Error('no database'));
    await failed;
    expect(warn).toHaveBeenCalledWith('Task failed and will run again: no database');
    const again = task.request();
    ends[1]?.();
    await again;
    expect(run).toHaveBeenCalledTimes(2);
  });

  it('once stopped waits for the run under way and starts no other', async () => {
    const { ends, run, task } = heldTask();
    void task.request();
    void task.request();
    let isStopped = false;
    const stopping = task.stop().then(() => (isStopped = true));
    await Promise.resolve();
    expect(isStopped).toBe(false);
    ends[0]?.();
    await stopping;
    await task.request();
    expect(run).toHaveBeenCalledTimes(1);
  });
});
