/** Pages are put into guest RAM, always where none has been. A sample covers new ground; it is freed between samples. */
import { closeSync, openSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import { beforeAll } from 'vitest';
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { DestinationPages } from '../../src/memory/page-states.js';
import { Counters } from '../../src/migrate/report/counters.js';
import { PageInstaller } from '../../src/migrate/destination/pages/page-installer.js';
import { PendingFaults } from '../../src/migrate/destination/pages/pending-faults.js';
import { WaitHistogram } from '../../src/migrate/report/wait-histogram.js';
import { native, type Backing, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { closeLater, stage } from './stage.js';
import { Toucher, waitReadable } from './workers.js';

const PAGES = 512;
const CALLS = 8;
const content = new Uint8Array(64 * PAGE_SIZE).fill(1);
const faults = new Uint32Array(64);

interface Ram {
  memory: NativeMemory;
  userfaultfd: Userfaultfd;
  free(): void;
}

let anonymous: Ram;
let memfd: Ram;
/** The memfd opened once more: written to without touching the mapping, as an alias would. */
let file: number;
let toucher: Toucher;

beforeAll(async () => {
  const memory = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  toucher = closeLater(await Toucher.start(memory));
  anonymous = register(memory, false);
  memfd = register(closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'memfd')), true);
  file = openMemfd();
  closeLater({ close: () => closeSync(file) });
});

function register(memory: NativeMemory, minor: boolean): Ram {
  const userfaultfd = closeLater(new native.Userfaultfd(memory));
  userfaultfd.register(0, PAGES, minor);
  return { memory, userfaultfd, free: () => memory.release(0, PAGES) };
}

/** The only one of this process. */
function openMemfd(): number {
  const isIt = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:postcopy-ram');
    } catch {
      return false; // the descriptor of the listing itself
    }
  };
  return openSync(`/proc/self/fd/${readdirSync('/proc/self/fd').find(isIt)}`, 'r+');
}

const ramOf = (backing: Backing) => (backing === 'memfd' ? memfd : anonymous);

for (const [backing, sizes] of [
  ['anonymous', [1, 16, 32, 64]],
  ['memfd', [1, 64]],
] as const) {
  for (const pages of sizes) {
    stage(`install: copy of ${pages}, ${backing}`, {
      run() {
        const { userfaultfd } = ramOf(backing);
        for (let i = 0; i < CALLS; i++) userfaultfd.copy(i * pages, pages, content, 0);
      },
      settle: () => ramOf(backing).free(),
      operations: CALLS,
    });
  }
}

for (const pages of [1, 64]) {
  stage(`install: zero of ${pages}`, {
    run() {
      for (let i = 0; i < CALLS; i++) anonymous.userfaultfd.zero(i * pages, pages);
    },
    settle: () => anonymous.free(),
    operations: CALLS,
  });
}

for (const pages of [1, 64]) {
  const write = () => {
    for (let i = 0; i < CALLS; i++) writeSync(file, content, 0, pages * PAGE_SIZE, i * pages * PAGE_SIZE);
  };
  stage(`install: write of ${pages} to the memfd`, { run: write, settle: () => memfd.free(), operations: CALLS });
  stage(`install: continue of ${pages}`, {
    prepare: write,
    run() {
      for (let i = 0; i < CALLS; i++) memfd.userfaultfd.continue(i * pages, pages);
    },
    settle: () => memfd.free(),
    operations: CALLS,
  });
}

/** Until the call returns, which is not until the thread goes on. */
stage('install: copy of 1 that wakes a thread', {
  prepare() {
    toucher.touch(0, 1);
    waitReadable(anonymous.userfaultfd.fd);
    anonymous.userfaultfd.readFaults(faults);
  },
  run: () => void anonymous.userfaultfd.copy(0, 1, content, 0),
  settle() {
    toucher.waitDone();
    anonymous.free();
  },
});

stage('install: copy of 1 until the thread goes on', {
  prepare() {
    toucher.touch(0, 1);
    waitReadable(anonymous.userfaultfd.fd);
    anonymous.userfaultfd.readFaults(faults);
  },
  run() {
    anonymous.userfaultfd.copy(0, 1, content, 0);
    while (!toucher.done);
  },
  settle() {
    toucher.waitDone();
    anonymous.free();
  },
});

stage('install: wake, nobody waits', {
  run() {
    for (let i = 0; i < CALLS; i++) anonymous.userfaultfd.wake(i, 1);
  },
  operations: CALLS,
});

let installer: PageInstaller;
for (const pages of [1, 32]) {
  stage(`install: PageInstaller, ${pages}`, {
    prepare() {
      const states = new DestinationPages(PAGES);
      states.expect(0, PAGES);
      const parts = {
        pages: states,
        pending: new PendingFaults(),
        waits: new WaitHistogram(),
        counters: new Counters(),
      };
      installer = new PageInstaller(
        { userfaultfd: anonymous.userfaultfd, ...parts },
        { allInstalled: () => {}, memoryShort: () => {}, pageLost: () => {} },
      );
    },
    run() {
      for (let i = 0; i < CALLS; i++) {
        installer.expect(i * pages, pages);
        installer.install(i * pages, pages, content, 0);
      }
    },
    settle: () => anonymous.free(),
    operations: CALLS,
  });
}

/** What 512 small pages cost that are to be a huge one afterwards. */
stage('install: collapse of 512', {
  prepare() {
    for (let page = 0; page < PAGES; page += 64) anonymous.userfaultfd.copy(page, 64, content, 0);
  },
  run: () => void anonymous.memory.collapse(0, PAGES),
  settle: () => anonymous.free(),
  share: 0.25,
});
