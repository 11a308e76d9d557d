/** The destination asks for pages: a bit each, one frame, one send, up to the receive queue of the source. */
import { DestinationPages } from '../../src/memory/page-states.js';
import { RequestQueue } from '../../src/migrate/destination/pages/request-queue.js';
import { REQUEST_HEADER_BYTES } from '../../src/migrate/wire/page-frames.js';
import { openChannel, type Channel } from './channel.js';
import { closeLater, stage } from './stage.js';

const REQUESTS = 64;
let channel: Channel | undefined;
let queue: RequestQueue;
let states: DestinationPages;
const asked = new Uint32Array(REQUESTS);

for (const pages of [1, 16]) {
  stage(`request: RequestQueue of ${pages}, over TCP`, {
    prepare() {
      channel ??= closeLater(openChannel());
      queue = new RequestQueue(channel.destination);
      states = new DestinationPages(REQUESTS * pages); // no page is asked for twice
    },
    run() {
      for (let page = 0, request = 0; request < REQUESTS; request++) {
        for (let i = 0; i < pages; i++, page++) if (states.ask(page)) asked[i] = page;
        queue.ask(asked, pages, 0);
      }
    },
    settle: () => channel!.drain('source', REQUESTS * (REQUEST_HEADER_BYTES + pages * 4)),
    operations: REQUESTS,
  });
}
