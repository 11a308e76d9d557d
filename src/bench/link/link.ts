/** What lies between the two ends of a migration, made of network namespaces and gone with them. */
import type { Cleanup } from '../../basics/cleanup.js';
import type { Endpoint } from '../system.js';
import type { LinkSpec } from './link-spec.js';
import { NetworkNamespace } from './namespace.js';
import { startRelay } from './relay-process.js';
import { tbfWords, tokenBucket } from './token-bucket.js';

export interface Link {
  sourceLauncher: string[];
  destinationLauncher: string[];
  listen: Endpoint;
  connect: Endpoint;
  /** The interface of the destination that the migration, and nothing else, passes. */
  interface: string;
}

const PORT = 7000;
/** RFC 5737, TEST-NET-1: these namespaces lead nowhere else. */
const SOURCE_HOST = '192.0.2.1';
const DESTINATION_HOST = '192.0.2.2';
const VETH = 'wire';

export async function openLink(spec: LinkSpec, cleanup: Cleanup): Promise<Link> {
  if (spec.rateBits === undefined && spec.rttMs === undefined) return loopback(cleanup);
  const source = openNamespace('source', cleanup);
  const destination = openNamespace('destination', cleanup);
  joinByVeth(source, destination);
  for (const namespace of spec.rateBits === undefined ? [] : [source, destination]) {
    namespace.tc('qdisc', 'add', 'dev', VETH, 'root', ...tbfWords(tokenBucket(spec.rateBits!)));
  }
  const listen = { host: DESTINATION_HOST, port: PORT };
  const connect = spec.rttMs === undefined ? listen : { host: '127.0.0.1', port: PORT };
  // The relay is in the source's namespace: its way to the destination is the wire that is counted.
  if (spec.rttMs !== undefined) await startRelay(source.launcher, connect, listen, spec.rttMs / 2, cleanup);
  return {
    sourceLauncher: source.launcher,
    destinationLauncher: destination.launcher,
    listen,
    connect,
    interface: VETH,
  };
}

/** A namespace of its own also for loopback: its counters count nothing else. */
function loopback(cleanup: Cleanup): Link {
  const { launcher } = openNamespace('both', cleanup);
  const endpoint = { host: '127.0.0.1', port: PORT };
  return {
    sourceLauncher: launcher,
    destinationLauncher: launcher,
    listen: endpoint,
    connect: endpoint,
    interface: 'lo',
  };
}

function openNamespace(role: string, cleanup: Cleanup): NetworkNamespace {
  const namespace = new NetworkNamespace(`postcopy-bench-${process.pid}-${role}`);
  cleanup.add(() => namespace.remove());
  namespace.ip('link', 'set', 'lo', 'up');
  return namespace;
}

function joinByVeth(source: NetworkNamespace, destination: NetworkNamespace): void {
  source.ip('link', 'add', VETH, 'type', 'veth', 'peer', 'name', VETH, 'netns', destination.name);
  const ends = [
    [source, SOURCE_HOST],
    [destination, DESTINATION_HOST],
  ] as const;
  for (const [namespace, host] of ends) {
    namespace.ip('address', 'add', `${host}/24`, 'dev', VETH);
    namespace.ip('link', 'set', VETH, 'up');
  }
}
