import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { runDetached } from '../../../src/cli/detach.js';
import { FakeOutput } from './fake-output.js';

let directory: string;
let output: FakeOutput;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-detach-'));
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', directory);
  output = new FakeOutput();
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

/** A VM's process: it does what the script says, with `serve(pid)` to answer on the socket as the process `pid`. */
function detach(script: string): Promise<number> {
  const path = `${directory}.mjs`;
  writeFileSync(
    path,
    `import { createServer } from 'node:http';
     import { renameSync } from 'node:fs';
     const directory = ${JSON.stringify(directory)};
     const serve = (pid) => createServer((_, answer) => answer.end(JSON.stringify({
       name: 'vm1', pid, version: '1', state: 'running', memoryBytes: 1, cpus: 1, uptimeMs: 1,
     }))).listen(directory + '/vm1.sock');
     const takeLog = () => renameSync(process.env.POSTCOPY_DETACHED_LOG, directory + '/vm1.log');
     ${script}`,
  );
  return runDetached('vm1', ['run'], output, [process.execPath, path]).finally(() => rmSync(path));
}

it('returns when the VM is there, and passes on what was said', async () => {
  const code = await detach(`
    takeLog();
    console.error('postcopy: ' + process.argv.slice(2));
    serve(process.pid);
    setTimeout(() => process.exit(), 1500);
  `);
  expect(code).toBe(0);
  expect(output.stderr).toBe('postcopy: run\n');
  expect(readdirSync(directory).sort()).toEqual(['vm1.log', 'vm1.sock']);
  expect(readFileSync(join(directory, 'vm1.log'), 'utf8')).toBe('postcopy: run\n');
  await vi.waitFor(() => expect(existsSync(join(directory, 'vm1.sock'))).toBe(true));
});

it.each(['', 'takeLog();'])('fails as it does in the foreground, and leaves nothing (%s)', async (before) => {
  expect(await detach(`${before} console.error('postcopy: no kernel'); process.exit(4);`)).toBe(4);
  expect(output.stderr).toBe('postcopy: no kernel\n');
  expect(readdirSync(directory)).toEqual([]);
});

it('does not take another VM of the name for its own', async () => {
  expect(await detach(`serve(1); setTimeout(() => process.exit(5), 300);`)).toBe(5);
});

it('says when the process was killed', async () => {
  expect(await detach(`process.kill(process.pid, 'SIGKILL');`)).toBe(1);
  expect(output.stderr).toBe("postcopy: the VM's process was killed by SIGKILL\n");
});

it('passes a signal on', async () => {
  const script = `process.on('SIGTERM', () => { console.error('asked'); process.exit(0); }); setInterval(() => {}, 1000);
    process.kill(process.ppid, 'SIGTERM');`;
  expect(await detach(script)).toBe(143);
  expect(output.stderr).toBe('asked\n');
  expect(readdirSync(directory)).toEqual([]);
});

it('passes on what was said where there was no room for a log', async () => {
  const script = `
    (await import('node:fs')).writeSync(3, 'postcopy: no kernel\\n');
    process.exit(4);`;
  expect(await detach(script)).toBe(4);
  expect(output.stderr).toBe('postcopy: no kernel\n');
});
