/** The fault handler asks the kernel who waits. */
import { beforeAll } from 'vitest';
import { native, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { closeLater, stage } from './stage.js';
import { Toucher, waitReadable } from './workers.js';

const PAGES = 8;
const CALLS = 1000;
const faults = new Uint32Array(64);
let memory: NativeMemory;
let userfaultfd: Userfaultfd;
let toucher: Toucher;

beforeAll(async () => {
  memory = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  toucher = closeLater(await Toucher.start(memory));
  userfaultfd = closeLater(new native.Userfaultfd(memory)); // closed first: it lets the thread go
  userfaultfd.register(0, PAGES, false);
});

stage('fault read: nothing waits', {
  run() {
    for (let i = 0; i < CALLS; i++) userfaultfd.readFaults(faults);
  },
  operations: CALLS,
});

/** A fault that was told is told again when its thread was woken and the page is still missing. One call a sample. */
stage('fault read: a thread waits', {
  open: () => toucher.touch(0, 1),
  prepare: () => waitReadable(userfaultfd.fd),
  run: () => void (read = userfaultfd.readFaults(faults)),
  settle() {
    if (read !== 1 || faults[0] !== 0) throw new Error(`read ${read} faults`);
    userfaultfd.wake(0, 1);
  },
});
let read = 0;
