/** Registers of the PC16550D (National Semiconductor data sheet, section 8), by offset and with DLAB where it counts. */

export const RBR_THR_DLL = 0;
export const IER_DLM = 1;
export const IIR_FCR = 2;
export const LCR = 3;
export const MCR = 4;
export const LSR = 5;
export const MSR = 6;
export const SCR = 7;

/** Interrupt enable: received data, transmitter empty, line status; bit 3 (modem status) can be set but never happens. */
export const IER_ERBFI = 1 << 0;
export const IER_ETBEI = 1 << 1;
export const IER_ELSI = 1 << 2;
/** Bits 7-4 are always 0: drivers tell other chips by them. */
export const IER_MASK = 0x0f;

/** Interrupt identification, highest priority first; bit 0 clear means one is pending. */
export const IIR_LINE_STATUS = 0x6;
export const IIR_RECEIVED_DATA = 0x4;
export const IIR_CHARACTER_TIMEOUT = 0xc;
export const IIR_TRANSMITTER_EMPTY = 0x2;
export const IIR_NONE = 0x1;
export const IIR_MASK = 0x0f;
/** Bits 7-6 while the FIFOs are on: a 16550A. */
export const IIR_FIFOS_ENABLED = 0xc0;

export const FCR_FIFO_ENABLE = 1 << 0;
export const FCR_RCVR_FIFO_RESET = 1 << 1;
export const FCR_TRIGGER_SHIFT = 6;
/** Bytes in the receive FIFO that raise an interrupt, by FCR bits 7-6. */
export const RECEIVE_TRIGGERS = [1, 4, 8, 14] as const;
export const FIFO_BYTES = 16;

export const LCR_DLAB = 1 << 7;

export const MCR_DTR = 1 << 0;
export const MCR_RTS = 1 << 1;
export const MCR_OUT1 = 1 << 2;
export const MCR_OUT2 = 1 << 3;
export const MCR_LOOP = 1 << 4;
export const MCR_MASK = 0x1f;

export const LSR_DATA_READY = 1 << 0;
export const LSR_OVERRUN = 1 << 1;
export const LSR_THR_EMPTY = 1 << 5;
export const LSR_TRANSMITTER_EMPTY = 1 << 6;

export const MSR_CTS = 1 << 4;
export const MSR_DSR = 1 << 5;
export const MSR_RI = 1 << 6;
export const MSR_DCD = 1 << 7;
