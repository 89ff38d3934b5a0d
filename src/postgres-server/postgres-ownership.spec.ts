import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimDirectory } from './postgres-ownership.js';

let directory: string;
let owner: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ownership-'));
  owner = join(directory, 'pg.owner');
});
afterEach(() => rmSync(directory, { recursive: true }));

describe.skipIf(process.platform === 'win32')('a claim of a directory', () => {
  it('is given back, unless another process has the directory by now', async () => {
    await (
      await claimDirectory(join(directory, 'pg'))
    )();
    expect(existsSync(owner)).toBe(false);
    const release = await claimDirectory(join(directory, 'pg'));
    const others = '{"pid":1,"fifo":"of-another"}';
    writeFileSync(owner, others);
    await release();
    expect(readFileSync(owner, 'utf8')).toBe(others);
  });

  it('is taken over where a copy has an ordinary file for its FIFO, whatever the clock said then', async () => {
    writeFileSync(owner, '{"pid":1,"fifo":"pg.owner.alive"}');
    writeFileSync(join(directory, 'pg.owner.alive'), '');
    mkdirSync(`${owner}.turn`);
    const later = Date.now() / 1000 + 86_400;
    utimesSync(`${owner}.turn`, later, later);
    const release = await claimDirectory(join(directory, 'pg'));
    expect(JSON.parse(readFileSync(owner, 'utf8'))).toMatchObject({ pid: process.pid });
    await release();
  });
});
