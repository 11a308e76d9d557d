/** A page worker of the source: connects its channels and serves them. */
import { SourcePages } from '../../memory/page-states.js';
import { native } from '../../native.js';
import { serveChannels, type ChannelTask } from '../../threads/channel-loop.js';
import { planNamed } from '../prefetch/choose.js';
import { FaultTrail } from '../prefetch/fault-trail.js';
import { Counters } from '../report/counters.js';
import { GoSignal } from '../../threads/go-signal.js';
import type { Tell } from '../../threads/messages.js';
import { servePageJob, type PageNews } from '../../threads/page-worker.js';
import { niceFor } from '../../threads/priorities.js';
import { rehearsePagesIfPossible } from './rehearse-pages.js';
import { BackgroundPush } from '../source/background-push.js';
import type { SourceChannelJob, SourceJob } from '../source/job.js';
import { openChannel } from '../link/open-channel.js';
import { PageServer } from '../source/page-server.js';
import { BlockRelease } from '../source/release.js';
import { SentPages } from '../source/sent-pages.js';
import type { SourceChannel } from '../source/source-channel.js';

function openTask(job: SourceJob, { address, counters }: SourceChannelJob, tell: Tell<PageNews>): ChannelTask {
  const memory = new native.GuestMemory(null, job.memoryHandle);
  const pages = new SourcePages(job.pages, job.maps);
  const socket = openChannel(address);
  tell({ type: 'channel-open', socketHandle: socket.handle });
  const channel: SourceChannel = {
    memory,
    socket,
    pages,
    trail: new FaultTrail(job.trail),
    signal: new GoSignal(job.signal),
    counters: new Counters(counters),
    sent: new SentPages(new BlockRelease(memory, pages, job.blocks)),
  };
  return address.channel === 'urgent' ? new PageServer(channel) : new BackgroundPush(channel, planNamed(job.plan));
}

rehearsePagesIfPossible();
servePageJob<SourceJob>((job, tell) => {
  const kinds = job.channels.map(({ address }) => address.channel);
  native.setThread(kinds.includes('urgent') ? 'page-server' : 'page-push', niceFor(kinds));
  const tasks = job.channels.map((channel) => openTask(job, channel, tell));
  serveChannels(tasks, new GoSignal(job.signal), job.wakeFd);
});
