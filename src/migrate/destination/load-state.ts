/** What the destination does between STATE and LOADED, while the guest stands still. */
import { PostcopyError } from '../../errors.js';
import { decodeRamMap } from '../../memory/ram-map.js';
import type { Body } from '../wire/message.js';
import type { Arrival } from './prepare.js';

/** Throws BAD_PEER, LINK_LOST, or why the state cannot be had by this host. */
export async function loadState(
  { machine, channels }: Arrival,
  { cpu, devices, ramMap, held, firstPages, firstContent, diskSamples }: Body<'state'>,
  signal: AbortSignal,
): Promise<void> {
  if (!channels.attached) throw new PostcopyError('BAD_PEER', 'the source sent STATE before it opened all channels');
  const vcpus = cpu.vcpus.length;
  if (vcpus !== machine.cpus) {
    throw new PostcopyError('BAD_PEER', `STATE has ${vcpus} vCPUs, HELLO had ${machine.cpus}`);
  }
  const lacking = decodeRamMap(ramMap, channels.pages);
  channels.endRounds(decodeRamMap(held, channels.pages), lacking);
  channels.expect(lacking);
  channels.install(firstPages, firstContent);
  await machine.hostDevices.takeOver();
  signal.throwIfAborted();
  const sampled = machine.hostDevices.requireSamples(diskSamples);
  sampled.catch(() => {}); // told when the machine has its state
  await machine.restore({ cpu, devices });
  await sampled;
  if (channels.broken) throw new PostcopyError('LINK_LOST', 'the page channels broke while state was loaded');
}
