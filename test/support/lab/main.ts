import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { DebianRelease } from './debian-packages.js';
import { Lab } from './lab.js';
import { quote } from './host.js';
import { runInHost, shellInHost } from './run-in-host.js';

const MS_PER_SECOND = 1000;
const USAGE_ERROR = 2;
const FAILURE = 1;

const usage = `Usage: scripts/lab [--all] [VITEST ARGUMENT...]
       scripts/lab run [OPTIONS] -- COMMAND [ARGUMENT...]
       scripts/lab shell [OPTIONS]
       scripts/lab throughput

The first runs the lab's tests; --all adds those of test/lab/long, which take long and show little more. The last
compares disk and network of a Debian guest with QEMU's in the same host.

run and shell boot a virtual KVM host with stock Linux and this project, built, in it. COMMAND runs in the project's
folder there; its output and its exit code are this command's. One argument is a shell command, more are words.

  --memory MIB     of the host (2048)
  --cpus N         of the host (1; with more, emulation breaks a guest now and then)
  --debian RELEASE whose kernel the host has: bookworm (6.1) or trixie (6.12)
  --timeout S      for the command, seconds (1800)
  --fetch REMOTE=LOCAL
                   copies a text file of the host to this machine when the command has ended, whatever its exit code;
                   may be given more than once
`;

const options = {
  memory: { type: 'string', default: '2048' },
  cpus: { type: 'string', default: '1' },
  debian: { type: 'string', default: 'bookworm' },
  timeout: { type: 'string', default: '1800' },
  fetch: { type: 'string', multiple: true },
  help: { type: 'boolean', default: false },
} as const;

function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`--${name} takes a number, not "${text}".`);
  return Number(text);
}

function parseCopy(text: string): { remote: string; local: string } {
  const [, remote, local] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (remote === undefined || local === undefined) throw new Error(`--fetch takes REMOTE=LOCAL, not "${text}".`);
  return { remote, local };
}

function debianRelease(text: string): DebianRelease {
  if (text !== 'bookworm' && text !== 'trixie') throw new Error(`--debian takes bookworm or trixie, not "${text}".`);
  return text;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [action, ...words] = positionals;
  const known = (action === 'run' && words.length > 0) || (action === 'shell' && words.length === 0);
  if (values.help || !known) {
    process.stderr.write(usage);
    return values.help ? 0 : USAGE_ERROR;
  }
  const copies = (values.fetch ?? []).map(parseCopy); // before anything takes time
  const lab = await Lab.start({
    name: action,
    hosts: 1,
    debian: [debianRelease(values.debian)],
    memoryMib: count('memory', values.memory),
    cpus: count('cpus', values.cpus),
  });
  // QEMU ends with this process (qemu-process.ts); the sockets' folder is what would stay.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void lab.close().finally(() => process.exit(FAILURE)));
  }
  try {
    if (action === 'shell') return await shellInHost(lab);
    const command = words.length === 1 ? words.join() : words.map(quote).join(' ');
    const code = await runInHost(lab, command, count('timeout', values.timeout) * MS_PER_SECOND);
    for (const copy of copies) writeFileSync(copy.local, await lab.host(1).getFile(copy.remote));
    return code;
  } finally {
    await lab.close();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = FAILURE;
}
