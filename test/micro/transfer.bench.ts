/**
 * Pages on the link: sent out of guest RAM, received into a worker's staging. Over loopback the sender's system call
 * does the kernel's work of both ends but for the last copy, which is the receiver's.
 */
import { MIB, PAGE_SIZE, pagesFor } from '../../src/memory/page-size.js';
import { EXTENT_HEADER_BYTES, PAGE_FRAME_BYTES, PAGE_HEADER_BYTES } from '../../src/migrate/page-frames.js';
import { EXTENT_PAGES_MAX } from '../../src/migrate/protocol.js';
import { native, type NativeMemory } from '../../src/native.js';
import { openChannel, type Channel } from './channel.js';
import { closeLater, isRehearsal, stage } from './stage.js';
import { PATIENCE_MS, waitReadable } from './workers.js';

/** More than a cache holds, but in a rehearsal: a page that is sent was written long ago. */
const PAGES = pagesFor((isRehearsal ? 8 : 256) * MIB);
const FILL_PAGES = 512;
const PAGE_SENDS = 16;
const header = new Uint8Array(EXTENT_HEADER_BYTES);
const extent = new Uint32Array(2);
const staging = new Uint8Array(EXTENT_HEADER_BYTES + EXTENT_PAGES_MAX * PAGE_SIZE);
let memory: NativeMemory;
let channel: Channel;
let next = 0;

function open(): void {
  if (memory !== undefined) return;
  memory = closeLater(new native.GuestMemory(PAGES * PAGE_SIZE, 'anonymous'));
  const content = new Uint8Array(FILL_PAGES * PAGE_SIZE).fill(1);
  for (let page = 0; page < PAGES; page += FILL_PAGES) memory.write(page * PAGE_SIZE, content);
  channel = closeLater(openChannel());
}

/** Other pages each time. */
function nextExtent(pages: number): void {
  if (next + pages > PAGES) next = 0;
  extent[0] = next;
  extent[1] = pages;
  next += pages;
}

function sendPage(): void {
  nextExtent(1);
  channel.source.sendPages(memory, header, PAGE_HEADER_BYTES, extent, 1);
}

stage('send: sendPages of 1 page', {
  open,
  run() {
    for (let i = 0; i < PAGE_SENDS; i++) sendPage();
  },
  settle: () => channel.drain('destination', PAGE_SENDS * PAGE_FRAME_BYTES),
  operations: PAGE_SENDS,
});

for (const pages of [16, 32, 64]) {
  const bytes = EXTENT_HEADER_BYTES + pages * PAGE_SIZE;
  let sent = 0;
  const send = () => {
    sent = channel.source.trySendPages(memory, header, EXTENT_HEADER_BYTES, extent, 1, 0, bytes);
  };
  stage(`send: trySendPages of ${pages} pages`, {
    open,
    prepare: () => nextExtent(pages),
    run: send,
    settle() {
      channel.drain('destination', sent);
      if (sent !== bytes) throw new Error(`only ${sent} of ${bytes} bytes fit`);
    },
  });
}

stage('receive: nothing there', {
  open,
  run() {
    for (let i = 0; i < PAGE_SENDS; i++) channel.destination.receive(staging, 0, 0, staging.length, 0);
  },
  operations: PAGE_SENDS,
});

stage('receive: 1 page', {
  open,
  prepare() {
    sendPage();
    waitReadable(channel.destination.fd);
  },
  run: () => void (received = channel.destination.receive(staging, 0, 0, PAGE_FRAME_BYTES, 0)),
  settle() {
    if (received < PAGE_FRAME_BYTES) throw new Error(`${received} bytes came at once`);
  },
});
let received = 0;

/** At first the receive window is too small for all of it; then this waits for the rest, which no later sample does. */
for (const pages of [16, 64]) {
  const bytes = EXTENT_HEADER_BYTES + pages * PAGE_SIZE;
  stage(`receive: ${pages} pages`, {
    open,
    prepare() {
      nextExtent(pages);
      channel.source.sendPages(memory, header, EXTENT_HEADER_BYTES, extent, 1);
      waitReadable(channel.destination.fd);
    },
    run: () => void channel.destination.receive(staging, 0, bytes, bytes, PATIENCE_MS),
  });
}
