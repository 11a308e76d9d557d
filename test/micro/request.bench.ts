/** The destination asks for pages: a bit each, one frame, one send, up to the receive queue of the source. */
import { DestinationPages } from '../../src/memory/page-states.js';
import { RequestQueue } from '../../src/migrate/destination/pages/request-queue.js';
import { REQUEST_HEADER_BYTES } from '../../src/migrate/wire/page-frames.js';
import { openChannel, type Channel } from './channel.js';
import { closeLater, stage } from './stage.js';

const REQUESTS = 64;
let channel: Channel | undefined;
let queue: RequestQueue;

for (const pages of [1, 16]) {
  stage(`request: RequestQueue of ${pages}, over TCP`, {
    prepare() {
      channel ??= closeLater(openChannel());
      queue = new RequestQueue(new DestinationPages(REQUESTS * pages), channel.destination); // asks for no page twice
    },
    run() {
      for (let page = 0, request = 0; request < REQUESTS; request++) {
        for (let i = 0; i < pages; i++) queue.add(page++, 0);
        queue.flush(0);
      }
    },
    settle: () => channel!.drain('source', REQUESTS * (REQUEST_HEADER_BYTES + pages * 4)),
    operations: REQUESTS,
  });
}
