/** All kinds of virtio devices, a row each, and the types that follow from them. */
import type { z } from 'zod';
import { blockKind } from './block.js';
import { consoleKind } from './console.js';
import { netKind } from './net.js';
import { plain } from './plain.js';

/** In the order of a machine's virtio-mmio slots, which decides what a guest calls its devices: vda, eth0. */
export const HOST_KINDS = {
  console: consoleKind,
  rng: plain('rng'),
  balloon: plain('balloon'),
  block: blockKind,
  net: netKind,
};

type Kinds = typeof HOST_KINDS;
export type KindName = keyof Kinds;

/** The part of a value that each row of the table asks for, together. */
type All<Part> = (Part extends unknown ? (part: Part) => void : never) extends (all: infer Whole) => void
  ? Whole
  : never;

/** Open on this host, by kind. */
export type OpenByKind = { [Name in KindName]: ReturnType<Kinds[Name]['open']> };
/** As HELLO tells of one. */
export type DeviceDescription = z.infer<Kinds[KindName]['description']>;
/** As the device worker gets one of this kind. */
export type BackendOf<Name extends KindName> = ReturnType<OpenByKind[Name]['backends']>[number];
export type VirtioBackend = BackendOf<KindName>;
/** What the settings of a VM say of its devices. */
export type DeviceConfigs = All<Parameters<Kinds[KindName]['open']>[0]>;
/** What the devices of a VM that comes are on this host. */
export type DeviceOverrides = All<Parameters<Kinds[KindName]['place']>[1]>;
export type DeviceStatus = All<ReturnType<OpenByKind[KindName]['status']>>;
