/** A device on a bus. Offsets are relative to its range; `size` is 1, 2 or 4; values are unsigned. */
export interface BusDevice {
  /** Widest access the registers take; wider ones are split into bytes, as an ISA bus does. */
  readonly accessBytes: number;
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
  /** A register of one byte was read, and answered with what the device had shown for it. */
  answered?(offset: number, value: number): void;
}

interface Claim {
  start: number;
  bytes: number;
  device: BusDevice;
}

const BYTE_VALUES = 0x100;

/**
 * Leads accesses to devices by address. The address an access starts at decides, and an access never reaches a second
 * device: PCI probing writes four bytes to 0xCF8, and must not reset the machine through 0xCF9.
 * What nobody claims reads as all ones, and writes to it are lost.
 */
export class Bus {
  readonly #claims: Claim[] = [];

  /** Throws RangeError if the range is taken in part. */
  add(start: number, bytes: number, device: BusDevice): void {
    if (this.#claims.some((claim) => start < claim.start + claim.bytes && claim.start < start + bytes)) {
      throw new RangeError(`bus address 0x${start.toString(16)} is taken`);
    }
    this.#claims.push({ start, bytes, device });
  }

  /** `size` is at most 4: eight bytes do not fit a number. */
  read(address: number, size: number): number {
    const claim = this.#find(address);
    if (claim === undefined) return allOnes(size);
    const offset = address - claim.start;
    if (size <= claim.device.accessBytes && offset + size <= claim.bytes) return claim.device.read(offset, size);
    let value = 0;
    for (let at = size - 1; at >= 0; at--) {
      const byte = offset + at < claim.bytes ? claim.device.read(offset + at, 1) : allOnes(1);
      value = value * BYTE_VALUES + byte;
    }
    return value;
  }

  write(address: number, size: number, value: number): void {
    const claim = this.#find(address);
    if (claim === undefined) return;
    const offset = address - claim.start;
    if (size <= claim.device.accessBytes && offset + size <= claim.bytes) {
      claim.device.write(offset, size, value);
      return;
    }
    let rest = value;
    for (let at = 0; at < size && offset + at < claim.bytes; at++) {
      claim.device.write(offset + at, 1, rest % BYTE_VALUES);
      rest = Math.floor(rest / BYTE_VALUES);
    }
  }

  answered(address: number, value: number): void {
    const claim = this.#find(address);
    claim?.device.answered?.(address - claim.start, value);
  }

  /** Few devices, and the serial port first: a search costs nothing beside the exit that led here. */
  #find(address: number): Claim | undefined {
    return this.#claims.find((claim) => address >= claim.start && address < claim.start + claim.bytes);
  }
}

/** What nobody drives reads as. */
function allOnes(size: number): number {
  return BYTE_VALUES ** size - 1;
}
