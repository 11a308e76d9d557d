/** A link, as text: loopback, a rate like 1g, a round trip like rtt=10, or both: 10g,rtt=1. */
import { PostcopyError } from '../../errors.js';

export interface LinkSpec {
  /** As it was given. */
  text: string;
  /** Bits a second, each way; without it as fast as the kernel copies. */
  rateBits?: number;
  /** Without it, what the kernel takes. */
  rttMs?: number;
}

const RATE = /^(\d+(?:\.\d+)?)([mg])$/;
const RTT = /^rtt=(\d+(?:\.\d+)?)$/;
const UNIT_BITS: Record<string, number> = { m: 1e6, g: 1e9 };

export function parseLink(text: string): LinkSpec {
  const spec: LinkSpec = { text };
  if (text === 'loopback') return spec;
  for (const part of text.split(',')) {
    const rate = RATE.exec(part);
    const rtt = RTT.exec(part);
    if (rate !== null && spec.rateBits === undefined) spec.rateBits = Number(rate[1]) * UNIT_BITS[rate[2]!]!;
    else if (rtt !== null && spec.rttMs === undefined) spec.rttMs = Number(rtt[1]);
    else throw badLink(text);
  }
  if (spec.rateBits === 0 || spec.rttMs === 0) throw badLink(text);
  return spec;
}

function badLink(text: string): PostcopyError {
  return new PostcopyError(
    'BAD_CONFIG',
    `'${text}' is no link: give loopback, a rate (1g, 10g, 100m), rtt=MS, or 10g,rtt=1`,
  );
}
