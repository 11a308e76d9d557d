/** Pages come from the link into a worker's staging. They have arrived when the clock starts. */
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { EXTENT_HEADER_BYTES, PAGE_FRAME_BYTES } from '../../src/migrate/wire/page-frames.js';
import { EXTENT_PAGES_MAX } from '../../src/migrate/wire/protocol.js';
import { openChannel, type Channel } from './channel.js';
import { closeLater, stage } from './stage.js';
import { PATIENCE_MS, waitReadable } from './workers.js';

const CALLS = 16;
const staging = new Uint8Array(EXTENT_HEADER_BYTES + EXTENT_PAGES_MAX * PAGE_SIZE);
const frame = new Uint8Array(staging.length).fill(1);
let channel: Channel | undefined;

function open(): void {
  channel ??= closeLater(openChannel());
}

function sendFrame(bytes: number): void {
  channel!.source.send(frame, 0, bytes);
  waitReadable(channel!.destination.fd);
}

stage('receive: nothing there', {
  open,
  run() {
    for (let i = 0; i < CALLS; i++) channel!.destination.receive(staging, 0, 0, staging.length, 0);
  },
  operations: CALLS,
});

let received = 0;
stage('receive: 1 page', {
  open,
  prepare: () => sendFrame(PAGE_FRAME_BYTES),
  run: () => void (received = channel!.destination.receive(staging, 0, 0, PAGE_FRAME_BYTES, 0)),
  settle() {
    if (received !== PAGE_FRAME_BYTES) throw new Error(`${received} bytes came at once`);
  },
});

/** At first the receive window is too small for all of it; then this waits for the rest, which later samples do not. */
for (const pages of [16, 64]) {
  const bytes = EXTENT_HEADER_BYTES + pages * PAGE_SIZE;
  stage(`receive: ${pages} pages`, {
    open,
    prepare: () => sendFrame(bytes),
    run: () => void channel!.destination.receive(staging, 0, bytes, bytes, PATIENCE_MS),
  });
}
