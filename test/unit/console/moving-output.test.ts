import { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { LATE_OUTPUT_BYTES, MovingOutput, rememberOutput } from '../../../src/console/moving-output.js';
import { openSerialBackend, type SerialBackend } from '../../../src/console/serial-backend.js';
import { RECENT_OUTPUT_BYTES } from '../../../src/console/serial-hub.js';

interface Ends {
  serial: SerialBackend;
  virtio: SerialBackend;
}

async function consoles(): Promise<Ends> {
  const open = () => openSerialBackend({ kind: 'null' });
  return { serial: await open(), virtio: await open() };
}

/** A console, or the host's end of a port, that attaches now; what it has been sent so far. */
class End extends Duplex {
  text = '';

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.text += bytes.toString();
    done();
  }
}

function seen(backend: SerialBackend): string {
  const end = new End();
  backend.addConsole(end);
  return end.text;
}

function textOf(output: ReturnType<MovingOutput['take']>): string[] | undefined {
  return output && [output.serial, output.virtio].map((bytes) => Buffer.from(bytes).toString());
}

it('all that is kept goes first, then what has come since', async () => {
  const { serial, virtio } = await consoles();
  serial.remember(Buffer.from('boots. '));
  const moving = new MovingOutput({ serial, virtio });
  expect(textOf(moving.take())).toEqual(['boots. ', '']);
  expect(moving.take()).toBeUndefined();
  serial.remember(Buffer.from('panics.'));
  virtio.remember(Buffer.from('login:'));
  expect(textOf(moving.take())).toEqual(['panics.', 'login:']);
  expect(moving.take()).toBeUndefined();
});

it('never more than is kept, and little while the guest stands still', async () => {
  const { serial, virtio } = await consoles();
  serial.remember(Buffer.alloc(3 * RECENT_OUTPUT_BYTES, 'a'));
  const moving = new MovingOutput({ serial, virtio });
  expect(moving.take()!.serial).toHaveLength(RECENT_OUTPUT_BYTES);
  serial.remember(Buffer.from(`${'b'.repeat(LATE_OUTPUT_BYTES)}the end`));
  const late = moving.take()!.serial;
  expect(late).toHaveLength(LATE_OUTPUT_BYTES);
  expect(Buffer.from(late).toString()).toMatch(/^b+the end$/);
});

it('who attaches at the destination sees it, before what the guest writes there', async () => {
  const [source, destination] = [await consoles(), await consoles()];
  source.serial.remember(Buffer.from('there. '));
  rememberOutput(destination, new MovingOutput(source).take()!);
  const port = new End();
  destination.serial.attach(port);
  port.push('here.');
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen(destination.serial)).toMatch(/^there\. here\.$/);
  expect(seen(destination.virtio)).toBe('');
});

it('who is attached already gets none of it: it is no output of this host', async () => {
  const { serial } = await consoles();
  const end = new End();
  serial.addConsole(end);
  serial.remember(Buffer.from('there.'));
  expect(end.text).toBe('');
});
