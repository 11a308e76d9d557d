/** Network interfaces: what a user says of them, checked. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { PostcopyError } from '../errors.js';
import { deviceIdSchema, textOrObject } from './device-setting.js';

/** A network interface of a VM (--net tap=NAME,bridge=NAME,mac=MAC,id=ID), checked. */
export interface NetConfig {
  /** Names it among the VM's interfaces. */
  id: string;
  /** Of the guest's interface, lower case; the same on every host. */
  mac: string;
  /** That the guest was told of on the host where it was booted; that of the TAP device if it is booted here. */
  mtu?: number;
  /** The TAP device on this host; made if it does not exist. Without one the kernel picks a free name. */
  tap?: string | undefined;
  /** The bridge that the TAP device joins. */
  bridge?: string | undefined;
}

/** A network interface as a user gives it. */
export interface NetSetting {
  tap?: string | undefined;
  bridge?: string | undefined;
  mac?: string | undefined;
  id?: string | undefined;
}

/** What an interface of a VM that comes gets on this host. */
export interface NetPlace {
  id: string;
  tap?: string | undefined;
  bridge?: string | undefined;
}

/** With the disks' most and the other devices as many as there are virtio-mmio slots. */
const NETS_MAX = 3;
/** The prefix that KVM guests have by custom: locally administered, one receiver. */
const MAC_PREFIX = '52:54:00';

const NET_FORM = 'tap=NAME[,bridge=NAME][,mac=MAC][,id=ID]';
const KEYS = ['tap', 'bridge', 'mac', 'id'] as const;

/** IFNAMSIZ is 16, with a NUL; the kernel takes more than this, but no '/', ':' and spaces, and counts at a '%'. */
const HOST_INTERFACE = /^(?!\.{1,2}$)[A-Za-z0-9._@+-]{1,15}$/;
const hostInterfaceSchema = z
  .string('must be text')
  .regex(HOST_INTERFACE, { error: 'use 1 to 15 letters, digits, dots, hyphens and underscores' });

const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const NO_MAC = '00:00:00:00:00:00';

export const macSchema = z
  .string('must be text')
  .toLowerCase()
  .regex(MAC, { error: 'is no MAC address: give one like 52:54:00:12:34:56', abort: true })
  // The lowest bit of the first byte makes an address one of many receivers.
  .refine((mac) => parseInt(mac.slice(0, 2), 16) % 2 === 0 && mac !== NO_MAC, {
    error: 'is the address of no single interface: give one like 52:54:00:12:34:56',
  });

/** In a configuration file. */
const netObjectSchema = z.strictObject({
  tap: hostInterfaceSchema.optional(),
  bridge: hostInterfaceSchema.optional(),
  mac: macSchema.optional(),
  id: deviceIdSchema.optional(),
});

/**
 * The interfaces of a VM, in the order in which the guest finds them. Those without an id are net0, net1, ...; those
 * without a MAC address get a random one, here and once for the life of the VM.
 */
export const netsSchema = z
  .array(textOrObject(parseNetSetting, netObjectSchema), 'must be a list')
  .max(NETS_MAX, { error: `a VM has at most ${NETS_MAX} network interfaces` })
  .transform((settings, context) => {
    const nets = settings.map(({ id, mac, ...place }, i): NetConfig => ({
      id: id ?? `net${i}`,
      mac: mac ?? randomMac(),
      ...place,
    }));
    for (const key of ['id', 'mac', 'tap'] as const) {
      for (const [i, net] of nets.entries()) {
        if (net[key] === undefined || nets.findIndex((other) => other[key] === net[key]) === i) continue;
        context.addIssue({ code: 'custom', path: [i, key], message: `'${net[key]}' is another interface's` });
      }
    }
    return nets;
  });

/** Parses `tap=NAME[,bridge=NAME][,mac=MAC][,id=ID]`, each at most once. Throws BAD_CONFIG. */
export function parseNetSetting(text: string): NetSetting {
  const setting: NetSetting = {};
  for (const part of text.split(',')) {
    const [key, value] = splitAtEquals(part);
    const name = KEYS.find((candidate) => candidate === key);
    if (name === undefined || value === undefined) throw badNet(text, `give ${NET_FORM}`);
    if (setting[name] !== undefined) throw badNet(text, `${name} is given twice`);
    setting[name] = value;
  }
  const checked = netObjectSchema.safeParse(setting);
  if (checked.success) return checked.data;
  const { path, message } = checked.error.issues[0]!;
  throw badNet(text, `${path.join('.')}: ${message}`);
}

/** Parses what `receive` is given, `id=ID[,tap=NAME][,bridge=NAME]`. Throws BAD_CONFIG. */
export function parseNetPlace(text: string): NetPlace {
  const { id, mac, ...place } = parseNetSetting(text);
  if (id === undefined) throw badNet(text, 'say which interface of the VM it is (id=ID,tap=NAME,bridge=NAME)');
  if (mac !== undefined) throw badNet(text, 'the MAC address comes with the VM');
  return { id, ...place };
}

/** Several of them. Throws BAD_CONFIG. */
export function parseNetPlaces(texts: readonly string[]): NetPlace[] {
  const places = texts.map(parseNetPlace);
  for (const [i, { id, tap }] of places.entries()) {
    const earlier = places.slice(0, i);
    if (earlier.some((other) => other.id === id)) throw badNet(texts[i]!, `interface ${id} has a place already`);
    if (tap !== undefined && earlier.some((other) => other.tap === tap)) {
      throw badNet(texts[i]!, `the TAP device ${tap} is another interface's`);
    }
  }
  return places;
}

function randomMac(): string {
  return [MAC_PREFIX, ...Array.from(randomBytes(3), (byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

function splitAtEquals(part: string): [string, string | undefined] {
  const at = part.indexOf('=');
  return at < 0 ? [part, undefined] : [part.slice(0, at), part.slice(at + 1)];
}

function badNet(text: string, why: string): PostcopyError {
  return new PostcopyError('BAD_CONFIG', `'${text}' is no network setting: ${why}`);
}
