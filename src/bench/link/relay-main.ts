/** The relay as a process of its own: node relay-main.js LISTEN_HOST LISTEN_PORT HOST PORT DELAY_MS. Ends with stdin. */
import { writeFileSync } from 'node:fs';
import { native } from '../../native.js';
import { Relay } from './relay.js';

/** A wire needs no CPU to carry bytes: what stands for one must not wait for the guest's. */
const NICE = -20;

const [listenHost, listenPort, host, port, delayMs] = process.argv.slice(2);
try {
  writeFileSync('/proc/self/timerslack_ns', '1'); // the default lets a wait take 50 us more
} catch {
  // a little less precise, then
}
native.setThread('relay', NICE);
const relay = new Relay(
  { host: listenHost!, port: Number(listenPort) },
  { host: host!, port: Number(port) },
  Number(delayMs),
);
writeFileSync(1, `${relay.port}\n`);
relay.run(0);
