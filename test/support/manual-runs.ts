/**
 * Who runs each block of shell commands, or of code, of README and of the manual. A block that is not here, and a runner
 * that does not run its block, fail test/unit/manual/runs.test.ts.
 */
import { README } from './manual.js';
import { TUTORIAL } from './lab/tutorial.js';

export const RUNNERS = {
  /** Takes two hosts, or a stock Linux. */
  lab: 'test/lab/debian.test.ts',
  /** Real processes, on any kind of machine. */
  vm: 'test/vm/manual.test.ts',
  package: 'test/package/package.test.ts',
  /** What no test can afford to run whole, or what a page shows of a failure: taken apart by the program itself. */
  parsed: 'test/unit/manual/commands.test.ts',
} as const;

export type Runner = keyof typeof RUNNERS;

/** By page, in its order: how each block begins, and who runs it. */
export const RUNS: Readonly<Record<string, readonly (readonly [beginning: string, runner: Runner])[]>> = {
  [README]: [
    ['scripts/demo', 'parsed'],
    ['npm link', 'package'],
    ['postcopy run --detach --name here', 'vm'],
    ['postcopy receive --detach --name there', 'vm'],
    ['postcopy migrate here', 'vm'],
    ['postcopy status there', 'vm'],
  ],
  [TUTORIAL]: [
    ['apt-get install', 'lab'],
    ['cd /var/tmp/web', 'lab'],
    ['mkdir -p /srv/web', 'lab'],
    ['ip link add br0', 'lab'],
    ['postcopy run --detach --name web', 'lab'],
    ['postcopy console web', 'lab'],
    ['postcopy receive --detach --name web', 'lab'],
    ['postcopy migrate web', 'lab'],
    ['postcopy status web', 'lab'],
    ['postcopy stop web', 'lab'],
  ],
  'postcopy-bench.1': [
    ['scripts/bench', 'parsed'],
    ['postcopy bench --rounds', 'vm'],
    ['postcopy bench --modes', 'parsed'],
    ['postcopy bench --systems', 'parsed'],
  ],
  'postcopy-cancel.1': [['postcopy cancel web', 'parsed']],
  'postcopy-console.1': [
    ['postcopy console web\n', 'vm'],
    ['postcopy console web --port virtio', 'vm'],
  ],
  'postcopy-demo.1': [
    ['postcopy demo --memory', 'vm'],
    ['postcopy demo --machine threads', 'vm'],
  ],
  'postcopy-doctor.1': [['postcopy doctor', 'vm']],
  'postcopy-forecast.1': [
    ['postcopy forecast web\n', 'parsed'],
    ['postcopy forecast web 192.0.2.2', 'parsed'],
  ],
  'postcopy-http-api.7': [
    ['curl --unix-socket /run/postcopy/web.sock http:', 'vm'],
    ['curl --unix-socket /run/postcopy/web.sock --no-buffer', 'vm'],
    ['curl --unix-socket /run/postcopy/web.sock \\', 'vm'],
  ],
  'postcopy-library.7': [
    ['import { checkVmSettings', 'vm'],
    ['import { VmClient', 'vm'],
  ],
  'postcopy-limit.1': [
    ['postcopy limit web 50M\n', 'parsed'],
    ['postcopy limit web none', 'parsed'],
  ],
  'postcopy-list.1': [['postcopy list', 'vm']],
  'postcopy-migrate.1': [
    ['postcopy migrate web 192.0.2.2:7000 --key KEY\n', 'vm'],
    ['postcopy migrate web 192.0.2.2:7000 --key KEY --dry-run', 'vm'],
    ['postcopy migrate web 192.0.2.2:7000 --key KEY --bandwidth', 'parsed'],
    ['postcopy migrate web 192.0.2.2:7000 --key KEY --mode', 'parsed'],
    ['postcopy migrate web 192.0.2.2:7000 --key KEY --json', 'vm'],
  ],
  'postcopy-pause.1': [['postcopy pause web', 'vm']],
  'postcopy-receive.1': [
    ['postcopy receive --detach --name web --listen 0.0.0.0:7000', 'vm'],
    ['postcopy receive --detach --name web --listen 192.0.2.2:7000 \\', 'vm'],
    ['postcopy receive --detach --name web --listen 192.0.2.2:7000 --key-file', 'parsed'],
  ],
  'postcopy-replay.1': [
    ['postcopy replay hot-cold', 'parsed'],
    ['postcopy replay streams', 'parsed'],
  ],
  'postcopy-recover.1': [
    ['postcopy recover web\n', 'parsed'],
    ['postcopy recover web 198.51.100.2:7000', 'parsed'],
  ],
  'postcopy-resume.1': [
    ['postcopy resume web', 'vm'],
    ['postcopy resume --force web', 'parsed'],
  ],
  'postcopy-run.1': [
    ['postcopy run --name try', 'vm'],
    ['postcopy run --detach --name web', 'vm'],
    ['postcopy run --detach --config', 'vm'],
  ],
  'postcopy-status.1': [
    ['postcopy status web\n', 'vm'],
    ['postcopy status web --json', 'vm'],
  ],
  'postcopy-stop.1': [
    ['postcopy stop web\n', 'vm'],
    ['postcopy stop web --timeout', 'vm'],
  ],
  'postcopy-threads.7': [
    ['postcopy run --detach --name here', 'vm'],
    ['postcopy migrate here', 'vm'],
  ],
};
