import type { NetConfig } from '../configure/net.js';
import { PostcopyError, type ErrorCode } from '../errors.js';

type Problem = [ErrorCode, (config: NetConfig) => string];

const RIGHTS = 'run as root, or with CAP_NET_ADMIN';
/** Another way, of which nothing but opening it needs to be permitted. */
const PREPARE =
  'or have it made before (ip tuntap add NAME mode tap user USER, ip link set NAME master BRIDGE up) and give tap=NAME';
const MODULE: Problem = [
  'HOST_LACKS',
  () => 'this host has no /dev/net/tun: load the module (modprobe tun); a container must be given the device',
];

/** What to do about an error of the step (`syscall`) and the errno of opening a TAP device. */
const OPEN_PROBLEMS: Record<string, Problem> = {
  'open ENOENT': MODULE,
  'open ENODEV': MODULE,
  'open ENXIO': MODULE,
  'open EACCES': ['HOST_LACKS', () => `/dev/net/tun may not be opened: ${RIGHTS}`],
  'open EPERM': ['HOST_LACKS', () => `/dev/net/tun may not be opened: ${RIGHTS}`],
  'TUNSETIFF EPERM': [
    'HOST_LACKS',
    ({ tap }) => `${tapName(tap)} may not be ${tap === undefined ? 'made' : 'used'}: ${RIGHTS}, ${PREPARE}`,
  ],
  'TUNSETIFF EBUSY': [
    'BAD_CONFIG',
    ({ tap }) => `${tapName(tap)} is in use by another process: give each VM a TAP device of its own`,
  ],
  'TUNSETIFF EINVAL': [
    'BAD_CONFIG',
    ({ tap }) => `the interface ${tap} of this host is no TAP device, or one with many queues: give another name`,
  ],
  'SIOCBRADDIF ENODEV': ['BAD_CONFIG', ({ bridge }) => `there is no bridge ${bridge}: ${makeBridge(bridge)}`],
  'SIOCBRADDIF EOPNOTSUPP': [
    'BAD_CONFIG',
    ({ bridge }) => `the interface ${bridge} is no bridge: ${makeBridge(bridge)}`,
  ],
  'SIOCBRADDIF EBUSY': [
    'BAD_CONFIG',
    ({ tap, bridge }) =>
      `${tapName(tap)} is in another bridge than ${bridge}: take it out (ip link set ${tap} nomaster)`,
  ],
  'SIOCBRADDIF EPERM': [
    'HOST_LACKS',
    ({ bridge }) => `nothing may be put into the bridge ${bridge}: ${RIGHTS}, ${PREPARE}`,
  ],
  'SIOCSIFFLAGS EPERM': ['HOST_LACKS', ({ tap }) => `${tapName(tap)} may not be brought up: ${RIGHTS}, ${PREPARE}`],
  'SIOCBRADDIF ENOPKG': ['HOST_LACKS', () => 'this host has no bridges: load the module (modprobe bridge)'],
};

/** `error` is what `new native.Tap()` threw. */
export function cannotOpen(config: NetConfig, error: unknown): PostcopyError {
  const { code, syscall } = error as NodeJS.ErrnoException;
  const known = OPEN_PROBLEMS[`${syscall} ${code}`];
  const why = known === undefined ? `${tapName(config.tap)} cannot be set up` : known[1](config);
  return new PostcopyError(known?.[0] ?? 'HOST_LACKS', `network interface ${config.id}: ${why}`, error);
}

/** The guest was told of a larger MTU than this host lets through: what is larger would be lost here, without a word. */
export function tooSmall({ id, bridge }: NetConfig, guestMtu: number, tap: string, mtu: number): PostcopyError {
  const where = bridge === undefined ? `the TAP device ${tap}` : `the bridge ${bridge}, and the TAP device ${tap},`;
  const why = `the guest's frames have up to ${guestMtu} bytes, and ${mtu} is the MTU here: give ${where} that of the source`;
  return new PostcopyError('HOST_LACKS', `network interface ${id}: ${why} (ip link set NAME mtu ${guestMtu})`);
}

function tapName(tap: string | undefined): string {
  return tap === undefined ? 'a TAP device' : `the TAP device ${tap}`;
}

function makeBridge(bridge: string | undefined): string {
  return `make one (ip link add ${bridge} type bridge && ip link set ${bridge} up), or give another`;
}
