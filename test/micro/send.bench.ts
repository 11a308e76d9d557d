/**
 * Pages go out of guest RAM onto the link. Over loopback the sender's system call does the kernel's work of both ends,
 * but for the last copy, which is the receiver's.
 */
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { EXTENT_HEADER_BYTES, PAGE_FRAME_BYTES, PAGE_HEADER_BYTES } from '../../src/migrate/wire/page-frames.js';
import type { NativeMemory } from '../../src/native.js';
import { openChannel, type Channel } from './channel.js';
import { COLD_PAGES, openColdRam } from './ram.js';
import { closeLater, stage } from './stage.js';

const SENDS = 16;
const header = new Uint8Array(EXTENT_HEADER_BYTES);
const extent = new Uint32Array(2);
let memory: NativeMemory | undefined;
let channel: Channel;
let next = 0;

function open(): void {
  if (memory !== undefined) return;
  memory = openColdRam(new Uint8Array(PAGE_SIZE).fill(1));
  channel = closeLater(openChannel());
}

/** Other pages each time. */
function nextExtent(pages: number): void {
  if (next + pages > COLD_PAGES) next = 0;
  extent[0] = next;
  extent[1] = pages;
  next += pages;
}

stage('send: sendPages of 1', {
  open,
  run() {
    for (let i = 0; i < SENDS; i++) {
      nextExtent(1);
      channel.source.sendPages(memory!, header, PAGE_HEADER_BYTES, extent, 1);
    }
  },
  settle: () => channel.drain('destination', SENDS * PAGE_FRAME_BYTES),
  operations: SENDS,
});

for (const pages of [16, 32, 64]) {
  const bytes = EXTENT_HEADER_BYTES + pages * PAGE_SIZE;
  let sent = 0;
  stage(`send: trySendPages of ${pages}`, {
    open,
    prepare: () => nextExtent(pages),
    run: () => void (sent = channel.source.trySendPages(memory!, header, EXTENT_HEADER_BYTES, extent, 1, 0)),
    settle() {
      channel.drain('destination', sent);
      if (sent !== bytes) throw new Error(`only ${sent} of ${bytes} bytes fit`);
    },
  });
}
