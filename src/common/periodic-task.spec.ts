import { Logger } from '@nestjs/common';
import { afterEach, expect, it, vi } from 'vitest';
import { PeriodicTask } from './periodic-task.js';

afterEach(() => {
  vi.useRealTimers();
});

it('a periodic task that is stopped lets its run end early, waits for it, and starts no other', async () => {
  vi.useFakeTimers();
  let runs = 0;
  const task = new PeriodicTask(new Logger('test'), 'Task', 1, (stopped) => {
    runs++;
    return new Promise<void>((done) => stopped.addEventListener('abort', () => done()));
  });
  task.start();
  await vi.advanceTimersByTimeAsync(1200);
  expect(runs).toBe(1);
  await task.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(runs).toBe(1);
});
