import type { ConsoleLine } from '../../../../src/devices/virtio/console/console-line.js';

/** A host that has `input` for the guest. */
export class FakeLine implements ConsoleLine {
  readonly fd = 7;
  open = true;
  blocked = false;
  input = '';
  output = '';
  flushes = 0;

  write(bytes: Uint8Array): void {
    this.output += Buffer.from(bytes).toString('latin1');
  }
  flush(): void {
    this.flushes++;
  }
  read(most: number): Uint8Array | undefined {
    const taken = this.input.slice(0, most);
    this.input = this.input.slice(taken.length);
    return taken === '' ? undefined : Buffer.from(taken);
  }
}
