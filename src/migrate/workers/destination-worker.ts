/** A page worker of the destination: serves its channels. */
import { native } from '../../native.js';
import { serveChannels } from '../../threads/channel-loop.js';
import { GoSignal } from '../../threads/go-signal.js';
import { servePageJob } from '../../threads/page-worker.js';
import { niceFor } from '../../threads/priorities.js';
import { BulkReceiver } from '../destination/pages/bulk-receiver.js';
import { FaultHandler } from '../destination/pages/fault-handler.js';
import type { DestinationJob } from '../destination/job.js';
import type { PageSink } from '../destination/pages/page-sink.js';
import { RoundWriter } from '../destination/pages/round-writer.js';
import { SwitchingSink } from '../destination/pages/switching-sink.js';
import { Rounds } from '../destination/rounds.js';
import { rehearsePagesIfPossible } from './rehearse-pages.js';
import { installerParts, PageInstaller } from '../destination/pages/page-installer.js';
import { UrgentSupply } from '../destination/pages/urgent-supply.js';

/** It is told once, however often it is called. */
function onceOf(tell: () => void): () => void {
  let told = false;
  return () => {
    if (!told) tell();
    told = true;
  };
}

/** Of a bulk channel. */
function sinkOf({ memoryHandle, pages, rounds }: DestinationJob, installer: PageInstaller): PageSink {
  if (rounds === undefined) return installer;
  const memory = new native.GuestMemory(null, memoryHandle);
  return new SwitchingSink(new RoundWriter(memory, new Rounds(pages, rounds)), installer);
}

rehearsePagesIfPossible();
servePageJob<DestinationJob>((job, tell, fail) => {
  const news = {
    allInstalled: () => tell({ type: 'all-installed' }),
    pageLost: (page: number) => tell({ type: 'page-lost', page }),
    memoryShort: onceOf(() => tell({ type: 'memory-short' })),
  };
  const signal = new GoSignal(job.signal);
  const tasks = job.channels.map((channel) => {
    const socket = new native.Socket(null, channel.socketHandle);
    const parts = installerParts(job, channel);
    const installer = new PageInstaller(parts, news);
    return channel.kind === 'urgent'
      ? new FaultHandler(parts, new UrgentSupply(socket, installer, signal), signal)
      : new BulkReceiver(socket, sinkOf(job, installer), signal);
  });
  const faults = tasks.find((task) => task instanceof FaultHandler);
  native.setThread(
    faults === undefined ? 'bulk-receiver' : 'fault-worker',
    niceFor(job.channels.map(({ kind }) => kind)),
  );
  try {
    serveChannels(tasks, signal, -1);
  } catch (error) {
    if (faults === undefined) throw error;
    fail(error);
    // From here on either faults are answered with anything, or the guest may run; never both.
    if (signal.break()) return faults.discard();
    tell({ type: 'alone' });
    faults.serveAlone(job.wakeFd);
  }
});
