import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, vi } from 'vitest';

/** `npm run demo` as a process of its own, of a service compiled into `directory`; what it keeps is in `temporary`. */
export function launchDemo(directory: string, temporary: string, ...args: string[]) {
  const program = join(directory, 'src/cli/demo.js');
  const child = spawn(process.execPath, [program, '--no-open', ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  }
  const ended = new Promise<number | null>((done) => child.once('close', (code) => done(code)));
  const hasSaid = (text: string, timeout = 50_000) =>
    vi.waitFor(() => expect(said + String(child.exitCode ?? '')).toContain(text), {
      timeout,
      interval: 50,
    });
  return { child, ended, hasSaid, said: () => said };
}
