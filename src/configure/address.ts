import { BlockList, isIP, isIPv6 } from 'node:net';
import { PostcopyError } from '../errors.js';

export interface Address {
  /** A name or an IP address, without the brackets of `[v6]`. */
  host: string;
  port: number;
}

export const PORT_MAX = 65535;
/** RFC 1123, 2.1: labels of letters, digits and inner hyphens; 253 characters is what the DNS can carry. */
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$/;
const ONLY_DIGITS_AND_DOTS = /^[\d.]+$/;

/** A host name or an IP address, as it goes into Address.host. */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  // 300.1.1 is a mistyped address; resolvers would take it for a name, or for another address.
  return HOST_NAME.test(text) && !ONLY_DIGITS_AND_DOTS.test(text);
}

const UNSPECIFIED = new BlockList();
UNSPECIFIED.addAddress('0.0.0.0', 'ipv4');
UNSPECIFIED.addAddress('::', 'ipv6');

/** Why nobody can be reached there: it is what listens on all addresses. Connecting to it reaches this host. */
export const NO_TARGET = 'it means all addresses of the host that listens: give one of those that the other host has';

/** 0.0.0.0 or ::, in any form. */
export function isUnspecified(host: string): boolean {
  return isIP(host) !== 0 && UNSPECIFIED.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}

/**
 * Parses `HOST:PORT` and `[IPv6]:PORT`. Port 0 (the system chooses one) and the addresses that
 * mean all of a host's only to listen. Throws BAD_CONFIG.
 */
export function parseAddress(text: string, use: 'connect' | 'listen'): Address {
  const parts = /^\[([^\]]*)\]:(.*)$/.exec(text) ?? /^([^:]*):([^:]*)$/.exec(text);
  if (parts === null) throw badAddress(text, addressShapeProblem(text));
  const [, host = '', portText = ''] = parts;
  const bracketed = text.startsWith('[');
  if (bracketed ? !isIPv6(host) : !isHost(host)) throw badAddress(text, hostProblem(host, bracketed));
  if (use === 'connect' && isUnspecified(host)) throw badAddress(text, NO_TARGET);
  const port = parsePort(portText, use === 'listen' ? 0 : 1);
  if (port === undefined) throw badAddress(text, `'${portText}' is no port number`);
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parsePort(text: string, least: number): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= least && port <= PORT_MAX ? port : undefined;
}

function addressShapeProblem(text: string): string {
  return text.split(':').length > 2 ? 'an IPv6 address needs brackets, like [::1]:7000' : 'the port is missing';
}

function hostProblem(host: string, bracketed: boolean): string {
  if (bracketed) return `'${host}' is no IPv6 address`;
  return host === '' ? 'the host is missing (0.0.0.0 or [::] listens on all addresses)' : `'${host}' is no host name`;
}

function badAddress(text: string, why: string): PostcopyError {
  return new PostcopyError('BAD_CONFIG', `'${text}' is no HOST:PORT address: ${why}`);
}
