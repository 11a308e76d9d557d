/** What lies between the two ends of a migration. */
import { PostcopyError } from '../errors.js';
import type { Cleanup } from '../cli/cleanup.js';
import { NetworkNamespace } from './namespace.js';
import type { Endpoint } from './system.js';

export type LinkKind = { kind: 'loopback' };

export interface Link {
  sourceLauncher: string[];
  destinationLauncher: string[];
  listen: Endpoint;
  connect: Endpoint;
  /** The interface of the destination that the migration, and nothing else, passes. */
  interface: string;
}

const PORT = 7000;

export function parseLink(text: string): LinkKind {
  if (text === 'loopback') return { kind: 'loopback' };
  throw new PostcopyError('BAD_CONFIG', `--link is loopback, not ${text}`);
}

export function openLink(_kind: LinkKind, cleanup: Cleanup): Link {
  const namespace = new NetworkNamespace(`postcopy-bench-${process.pid}`);
  cleanup.add(() => namespace.remove());
  namespace.ip('link', 'set', 'lo', 'up');
  const endpoint = { host: '127.0.0.1', port: PORT };
  return {
    sourceLauncher: namespace.launcher,
    destinationLauncher: namespace.launcher,
    listen: endpoint,
    connect: endpoint,
    interface: 'lo',
  };
}
