/** A page worker of the source: connects its channels and serves them. */
import { SourcePages } from '../../memory/page-states.js';
import { native } from '../../native.js';
import { serveChannels, type ChannelTask } from '../../threads/channel-loop.js';
import { planNamed } from '../prefetch/choose.js';
import { FaultTrail } from '../prefetch/fault-trail.js';
import { RecentPages } from '../prefetch/recent-pages.js';
import { RateLimit } from '../flow/rate-limit.js';
import { Counters } from '../report/counters.js';
import { GoSignal } from '../../threads/go-signal.js';
import type { Tell } from '../../threads/messages.js';
import { servePageJob, type PageNews } from '../../threads/page-worker.js';
import { niceFor } from '../../threads/priorities.js';
import { rehearsePagesIfPossible } from './rehearse-pages.js';
import { BackgroundPush } from '../source/background-push.js';
import type { SourceChannelJob, SourceJob } from '../source/job.js';
import { openChannel, type ChannelAddress } from '../link/open-channel.js';
import { tryChannels } from '../source/channel-trial.js';
import type { PrefetchName } from '../options.js';
import { formatAddress } from '../../configure/address.js';
import { PageServer } from '../source/page-server.js';
import { BlockRelease } from '../source/release.js';
import { RoundSignal } from '../source/round-signal.js';
import { SentPages } from '../source/sent-pages.js';
import type { SourceChannel } from '../source/source-channel.js';

/** A channel's socket, and what it works with. */
interface Opened {
  address: ChannelAddress;
  channel: SourceChannel;
}

function open(job: SourceJob, { address, counters }: SourceChannelJob, tell: Tell<PageNews>): Opened {
  const memory = new native.GuestMemory(null, job.memoryHandle);
  const pages = new SourcePages(job.pages, job.maps);
  const socket = openChannel(address);
  tell({ type: 'channel-open', socketHandle: socket.handle });
  const channel: SourceChannel = {
    memory,
    socket,
    pages,
    trail: new FaultTrail(job.trail),
    recent: new RecentPages(job.recent),
    signal: new GoSignal(job.signal),
    rounds: new RoundSignal(job.rounds),
    counters: new Counters(counters),
    limit: new RateLimit(job.limit),
    sent: new SentPages(new BlockRelease(memory, pages, job.blocks)),
    tellsLost: job.tellsLost,
  };
  return { address, channel };
}

/** All at a time: the destination answers on none of a worker's before all of them are there. */
function tryOut(opened: readonly Opened[], signal: GoSignal, tell: Tell<PageNews>): void {
  const untried = opened.map(({ address, channel: { socket } }) => {
    const kind = address.channel === 'urgent' ? ('urgent' as const) : ('bulk' as const);
    return { kind, index: address.index, socket, peer: formatAddress(address) };
  });
  tell({ type: 'channels-tried', trials: tryChannels(untried, signal) });
}

function taskOf({ address, channel }: Opened, plan: PrefetchName, tell: Tell<PageNews>): ChannelTask {
  if (address.channel === 'urgent') return new PageServer(channel);
  const answer = (change: number) => tell({ type: 'round-answered', change });
  return new BackgroundPush(channel, planNamed(plan), undefined, answer);
}

/** A guest that runs here goes before the copies of its pages; from the hand-over on, it waits for them elsewhere. */
class RaiseAtHandOver implements ChannelTask {
  #raised = false;

  constructor(
    readonly signal: GoSignal,
    readonly raise: () => void,
  ) {}

  step(): boolean {
    if (this.#raised || !this.signal.handedOver) return false;
    this.#raised = true;
    this.raise();
    return true;
  }

  sources(): void {}

  idle(): void {}
}

rehearsePagesIfPossible();
servePageJob<SourceJob>((job, tell) => {
  const kinds = job.channels.map(({ address }) => address.channel);
  const name = kinds.includes('urgent') ? 'page-server' : 'page-push';
  native.setThread(name, niceFor(kinds, job.copies));
  const signal = new GoSignal(job.signal);
  const opened = job.channels.map((channel) => open(job, channel, tell));
  if (job.tries) tryOut(opened, signal, tell);
  const raise = new RaiseAtHandOver(signal, () => native.setThread(name, niceFor(kinds)));
  const tasks = opened.map((it) => taskOf(it, job.plan, tell));
  serveChannels(job.copies ? [...tasks, raise] : tasks, signal, job.wakeFd);
});
