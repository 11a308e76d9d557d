/**
 * The addon, typed: system calls, mappings and vCPU threads, and nothing that decides. This is the only file that loads
 * it. Calls are synchronous; a failed system call throws an Error with `code`, `errno` and `syscall` like Node's own; a
 * wrong argument throws RangeError or TypeError and reaches no system call.
 *
 * RAM is addressed by RAM offset (bytes) or page number (4 KiB pages): holes of the guest-physical space are not in it.
 *
 * Classes with a `handle` can be used from several threads: `new X(null, handle)` in a worker attaches to the resource.
 * It lives until close() on any of the objects; garbage collection never closes it.
 */
import { createRequire } from 'node:module';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

/** threads: anonymous, executable and at GUEST_BASE (memory/layout.ts), once in a process: code EEXIST. */
export type Backing = 'anonymous' | 'memfd' | 'threads';

export interface NativeMemory {
  readonly handle: number;
  readonly bytes: number;
  readonly backing: Backing;
  /**
   * Copies RAM into the array; waits, as a vCPU does, for a page that is missing: never from a page worker. Code EHWPOISON, as
   * of write(), for a page that is lost to a memory error of this host.
   */
  read(offset: number, into: Uint8Array): void;
  write(offset: number, from: Uint8Array): void;
  /** [first page, pages] pairs of the runs among these pages that hold data, in order; found without reading RAM. */
  dataExtents(first: number, count: number): Uint32Array;
  /** The same of all pages that are in none of these pairs, which are ascending: fast also where they are thousands. */
  dataExtentsOutside(known: Uint32Array): Uint32Array;
  /** dataExtents() of all pages, found on another thread: with much RAM it takes seconds. */
  findDataExtents(): Promise<Uint32Array>;
  /** Gives pages back to the host; they read as zero from then on. */
  release(first: number, count: number): void;
  /** Pages from `first` on that are alike: n if these n read zero, -n if not; 0 if the first is lost, as of read(). Reads them. */
  zeroRun(first: number, count: number): number;
  /** Puts what these pages hold into huge pages (MADV_COLLAPSE, Linux 6.1); false if the kernel cannot now. */
  collapse(first: number, count: number): boolean;
  close(): void;
}

/** What of guest RAM is written while the guest runs: see machine/dirty-log.ts. Calls wait for each other. */
export interface NativeDirtyLog {
  readonly kind: DirtyLogKind;
  /** Once, on another thread: what is written from when it resolves on is told. */
  begin(): Promise<void>;
  /** On another thread. */
  collect(): Promise<Uint32Array>;
  collectNow(): Uint32Array;
  /** Waits for a collect() that is under way; a later one rejects with code EBADF. */
  end(): void;
}

/**
 * userfaultfd: sees every write through this process's mapping; Linux 6.7. kvm: KVM's own log, and what this process writes by
 * the calls of this file; Linux 5.2, of a VM of KVM.
 */
export type DirtyLogKind = 'userfaultfd' | 'kvm';

/** userfaultfd(2) over one guest memory. */
export interface Userfaultfd {
  readonly handle: number;
  /** For poll(). */
  readonly fd: number;
  /** Missing faults on these pages come here; with `minor` (memfd) also those on pages that the file has. */
  register(first: number, count: number, minor: boolean): void;
  unregister(first: number, count: number): void;
  /** Page numbers of faults that wait, as many as fit; the result counts them, 0 if there are none. */
  readFaults(into: Uint32Array): number;
  /**
   * UFFDIO_COPY: installs pages and wakes who waits. Returns pages installed; those present already stay as they are. Where
   * the host has no memory now: code ENOMEM, `pages` that are there from the first one on, `installed` of them newly.
   */
  copy(first: number, count: number, from: Uint8Array, offset: number): number;
  /** UFFDIO_ZEROPAGE, as copy(). */
  zero(first: number, count: number): number;
  /** UFFDIO_CONTINUE: maps pages that the memfd has already. */
  continue(first: number, count: number): number;
  /** UFFDIO_POISON (Linux 6.6, before it code EINVAL): whoever touches one of these missing pages finds it lost. As copy(). */
  poison(first: number, count: number): number;
  wake(first: number, count: number): void;
  /** Only after every vCPU was told to park for good, and no device acts on RAM: a fault after this reads zeroes. */
  close(): void;
}

export interface SocketOptions {
  noDelay?: number;
  /** Bytes; the kernel doubles it. */
  sendBuffer?: number;
  userTimeoutMs?: number;
  /** Congestion control by name, of those the host has. */
  congestion?: string;
}

/** A TCP socket used synchronously. A shutdown() from another thread ends every wait. */
export interface Socket {
  readonly handle: number;
  readonly fd: number;
  /** Local port. */
  readonly port: number;
  /** host:port of the other end, [host]:port of an IPv6 address. */
  readonly peer: string;
  /** Descriptor of a new connection; -1 if none waits. */
  accept(): number;
  configure(options: SocketOptions): void;
  /** What TCP knows of the way to the other end: bytes in a segment, and in a packet. Undefined of a local socket. */
  path(): { segmentBytes: number; mtu: number } | undefined;
  /** Sends all of it. */
  send(bytes: Uint8Array, offset: number, length: number): void;
  /** For each of `count` extents ([first, pages] pairs): its header, then its pages straight from guest RAM. */
  sendPages(memory: NativeMemory, headers: Uint8Array, headerBytes: number, extents: Uint32Array, count: number): void;
  /** What fits now of that but for its first `skip` bytes, without waiting; the bytes sent. */
  trySendPages(
    memory: NativeMemory,
    headers: Uint8Array,
    headerBytes: number,
    extents: Uint32Array,
    count: number,
    skip: number,
  ): number;
  /**
   * Receives at least `minimum`, at most `maximum` bytes; a smaller result means that the peer closed. Minimum 0 takes
   * what is there, -1 when nothing is. Waits `timeoutMs` (-1: for ever) for each part: code ETIMEDOUT.
   */
  receive(into: Uint8Array, offset: number, minimum: number, maximum: number, timeoutMs: number): number;
  shutdown(): void;
  /** The descriptor, the caller's from now on; closes this object. */
  detachFd(): number;
  /** This object lets go of the socket; the handle keeps it for others. Garbage collection does not run in a busy worker. */
  detach(): void;
  close(): void;
}

/** What submit() does. A flush covers the writes that had completed before it was submitted. */
export const DISK_READ = 0;
export const DISK_WRITE = 1;
/** Persistent when it completes. */
export const DISK_WRITE_THROUGH = 2;
export const DISK_FLUSH = 3;
/** A hint: it succeeds also where nothing can be discarded. */
export const DISK_DISCARD = 4;
export const DISK_WRITE_ZEROES = 5;
/** The same, and the disk may give the blocks back. */
export const DISK_WRITE_ZEROES_UNMAP = 6;

/** What begin() asks the storage of a disk for. DISK_SYNC: fdatasync(2) of what was written before; its errors are no flush's. */
export const DISK_SYNC = 0;
/** An open-file-description lock on all of it, shared for a read-only disk. EAGAIN: somebody else holds it. */
export const DISK_LOCK = 1;
export const DISK_UNLOCK = 2;
/** Writes back, then forgets what is cached: what another host has written is seen from now on. */
export const DISK_DROP_CACHE = 3;
/** Takes nothing; fails with EAGAIN if a lock of somebody else's is in the way of a write. Needs no right to write. */
export const DISK_TEST_LOCK = 4;
/** sampleAt()'s blocks are moved to the next that hold data each, and read, so that they are cached. */
export const DISK_CHOOSE_SAMPLE = 5;
/** Those that requests wrote last are added to them, and all are read. */
export const DISK_TAKE_SAMPLE = 6;
/** They are read. */
export const DISK_READ_SAMPLE = 7;
/** Bytes of a sample's block. */
export const DISK_SAMPLE_BLOCK = 4096;

/**
 * A raw image or block device. Requests are done by threads of its own, in any order, straight between the disk and
 * guest RAM; they wait for a guest page that is missing as a vCPU does.
 */
export interface NativeDisk {
  readonly handle: number;
  /** For poll(): readable while completions() has something to give. */
  readonly fd: number;
  /** When it was opened. */
  readonly bytes: number;
  /**
   * Locks reach this file or device as well, from the next one on: `length` bytes of it from `start` on, to its end if the
   * length is 0. `shared`: others may have it too, but not for themselves alone. Before begin().
   */
  lockAlso(path: string, start: number, length: number, shared: boolean): void;
  /** What the next sample is of: where its blocks begin; they are among the first `bytes` of the disk. */
  sampleAt(offsets: Float64Array, bytes: number): void;
  /** Of the last sample that was read: where its blocks begin, and what is in them, one behind the other. */
  sampleOffsets(): Float64Array;
  sampleContent(): Uint8Array;
  /**
   * DISK_SYNC, DISK_LOCK, ...: done by a thread of the disk's, in order; syncs have one of their own. Its number, for
   * ended().
   */
  begin(call: number): number;
  /** False if that one has not ended in time; throws, once, what it failed with. A sync fails for good once one has. */
  ended(call: number, number: number, timeoutMs: number): boolean;
  /**
   * DISK_READ, DISK_WRITE, ...: the `length` bytes at `offset`, to or from the first `count` segments ([ramOffset, length]
   * pairs, `length` bytes together; none of them for what moves no data).
   */
  submit(
    id: number,
    kind: number,
    memory: NativeMemory,
    segments: Float64Array,
    count: number,
    offset: number,
    length: number,
  ): void;
  /** Fills [id, 0 or errno] pairs of requests that have ended, returns their number. */
  completions(into: Int32Array): number;
  /** Until nothing is in flight; false if that takes longer. */
  waitIdle(timeoutMs: number): boolean;
  /** This object lets go of the disk; the handle keeps it for others. */
  detach(): void;
  /**
   * After the requests in flight; false if they did not end in time. Then the file stays open, and locked, until they
   * have.
   */
  close(timeoutMs: number): boolean;
}

/** The host's end of a guest's network interface; frames begin with struct virtio_net_hdr (12 bytes). Nothing waits. */
export interface NativeTap {
  readonly handle: number;
  readonly fd: number;
  readonly name: string;
  /** What its host lets through now, without the Ethernet header. */
  readonly mtu: number;
  /** What the guest takes from now on: frames without checksums, and larger than the MTU (TCP segmentation offload). */
  setOffloads(csum: boolean, tso4: boolean, tso6: boolean, ecn: boolean): void;
  /**
   * A frame of the header and `count` pieces of guest RAM ([ramOffset, length] pairs, 1023 at most). Bytes written with
   * the header; 0 if the kernel does not take this frame, -1 when nothing fits now.
   */
  send(memory: NativeMemory, header: Uint8Array, segments: Float64Array, count: number): number;
  /**
   * A frame with its header straight into guest RAM; 10 bytes of the header are written. Its bytes: more than the
   * segments have if it did not fit, and is lost. -1 when there is none, -2 when somebody deleted the device.
   */
  receive(memory: NativeMemory, segments: Float64Array, count: number): number;
  /** A frame of the host's own, with its header; as send(). */
  write(bytes: Uint8Array): number;
  /** Throws away frames that wait, at most so many; their number. */
  discard(most: number): number;
  /** This object lets go of the device; the handle keeps it for others. */
  detach(): void;
  close(): void;
}

/** The parts of a VM's state that are chips in the kernel. */
export const CHIPS = ['picMaster', 'picSlave', 'ioapic', 'pit'] as const;
export type ChipName = (typeof CHIPS)[number];
export type VmStateName = ChipName | 'clock';

export interface NativeVm {
  readonly handle: number;
  readonly exitQueueHandle: number;
  createIrqchip(tssAddress: number, identityMapAddress: number): void;
  setMemory(slot: number, guestAddress: number, memory: NativeMemory, offset: number, bytes: number): void;
  /** Packed struct kvm_irq_routing_entry (48 bytes): the pins of PIC and IOAPIC that each GSI drives. */
  setRouting(entries: Uint8Array): void;
  setIrq(gsi: number, level: boolean): void;
  /**
   * A virtio-mmio device at `address`: writes to its QueueNotify signal the eventfd, InterruptStatus and InterruptACK are
   * answered on the vCPU's thread. Before any vCPU runs; returns the device's index, 0 and up.
   */
  addVirtio(address: number, gsi: number, notifyFd: number): number;
  /** Sets bits of InterruptStatus and interrupts the guest, with one edge. */
  raiseVirtio(index: number, bits: number): void;
  getVirtioInterrupts(index: number): number;
  /** Without an interrupt. */
  setVirtioInterrupts(index: number, bits: number): void;
  /**
   * Registers of the serial port, which vCPUs read from now on without the device worker: see SerialShadow in
   * src/devices/surroundings.ts.
   */
  showSerial(
    writes: number,
    events: number,
    lineStatus: number,
    modemStatus: number,
    identification: number,
    interruptEnable: number,
  ): void;
  hideSerial(): void;
  /** The kernel's structure for it (struct kvm_irqchip, kvm_pit_state2, kvm_clock_data). */
  getState(name: VmStateName): Uint8Array;
  setState(name: VmStateName, bytes: Uint8Array): void;
  /** After its vCPUs. */
  close(): void;
}

/** The device worker's end of the mailbox between vCPU threads and devices. */
export interface ExitQueue {
  /** Readable while a vCPU waits for an answer. */
  readonly fd: number;
  /** Readable when a posted write has waited long enough for an access that somebody waits for. */
  readonly postedFd: number;
  /** Fills 32-byte records (layout: machine/exit-dispatch.ts), returns their number. The array is aligned to 8 bytes. */
  take(records: Uint8Array): number;
  /** Answers a vCPU's read with 64 bits; the vCPU goes on. Writes are posted: nobody waits for them. */
  complete(vcpu: number, low: number, high: number): void;
}

/**
 * The parts of a vCPU's state but for its MSRs, in the order of reading: with mp_state KVM takes a pending INIT or SIPI, with
 * the events it may deliver a pending exception's payload into CR2 or DR6; both change what is read after them.
 */
export const VCPU_STATES = ['mpState', 'vcpuEvents', 'regs', 'sregs', 'debugregs', 'xcrs', 'xsave', 'lapic'] as const;
export type VcpuStateName = (typeof VCPU_STATES)[number];

/**
 * A vCPU with a thread of its own, parked at first. State can be read and set only while it is parked. One of a VM of threads
 * has the states 'regs' and 'xsave' (what user mode has of both), no MSRs, CPUID or TSC of its own, and parks also while a
 * page is missing.
 */
export interface NativeVcpu {
  /** Also of one that was asked to park and has not yet: it does not. */
  resume(): void;
  /** Asks it to park and returns at once. A vCPU that waits for a missing page parks when the page has come. */
  requestPause(): void;
  waitParked(timeoutMs: number): boolean;
  /** Priority of its thread, which begins with that of the thread that makes it. False if that is not permitted. */
  setNice(nice: number): boolean;
  /** monotonicMicros() of the last time it parked. */
  readonly parkedAt: number;
  getState(name: VcpuStateName): Uint8Array;
  setState(name: VcpuStateName, bytes: Uint8Array): void;
  /** Packed struct kvm_msr_entry (16 bytes) of those of the indices that the guest has. */
  getMsrs(indices: Uint32Array): Uint8Array;
  /** Sets packed entries in order; the number set, smaller if KVM refused one. */
  setMsrs(entries: Uint8Array): number;
  /** Packed struct kvm_cpuid_entry2 (40 bytes). */
  setCpuid(entries: Uint8Array): void;
  /** The guest's TSC frequency; 0 if KVM does not say. */
  getTscKhz(): number;
  /** False if KVM refuses it. Where it cannot scale (tscControl) it takes a higher one than the host's all the same. */
  setTscKhz(khz: number): boolean;
  /** What is added to the host's TSC, scaled, for the guest's; undefined where KVM does not say (before Linux 5.16). */
  getTscOffset(): bigint | undefined;
  /** False if KVM takes none. The guest's TSC is this and the host's from then on, to the tick. */
  setTscOffset(offset: bigint): boolean;
  /** KVM_KVMCLOCK_CTRL: tells the guest's watchdogs that it was stopped. False if it has no kvmclock. */
  notePaused(): boolean;
  /** Of KVM, before any state: banks for errors from which the guest's software may recover. False if KVM has none. */
  setUpMachineChecks(): boolean;
  /** Of KVM: struct kvm_x86_mce, an exception that the guest takes when it goes on. False if KVM refuses it. */
  machineCheck(error: Uint8Array): boolean;
  /** False if the thread did not end in time (it waits for a page in the kernel); nothing is freed then. */
  close(timeoutMs: number): boolean;
}

export interface KvmProbe {
  apiVersion: number;
  /** KVM_CHECK_EXTENSION results by name (native/kvm/kvm.cc). */
  capabilities: Record<string, number>;
}

export interface Native {
  GuestMemory: {
    new (bytes: number, backing: Backing): NativeMemory;
    new (attach: null, handle: number): NativeMemory;
  };
  Userfaultfd: { new (memory: NativeMemory): Userfaultfd; new (attach: null, handle: number): Userfaultfd };
  Socket: {
    new (how: 'listen', host: string, port: number): Socket;
    new (how: 'connect', host: string, port: number, timeoutMs: number): Socket;
    new (how: 'adopt', fd: number): Socket;
    new (attach: null, handle: number): Socket;
  };
  Disk: { new (path: string, readonly: boolean): NativeDisk; new (attach: null, handle: number): NativeDisk };
  Tap: {
    /** An empty name lets the kernel pick one; an empty bridge is none. An error's `syscall` tells which step failed. */
    new (name: string, bridge: string): NativeTap;
    new (attach: null, handle: number): NativeTap;
  };
  Vm: {
    new (path?: string): NativeVm;
    /** Its vCPUs are threads that run in this memory (backing 'threads'). It has no KVM: what asks for it throws. */
    new (kind: 'threads', memory: NativeMemory): NativeVm;
    new (attach: null, handle: number): NativeVm;
  };
  ExitQueue: new (attach: null, handle: number) => ExitQueue;
  Vcpu: new (vm: NativeVm, index: number) => NativeVcpu;
  DirtyLog: {
    /** Code EINVAL, ENOSYS or EPERM if the kernel cannot; EBUSY if another userfaultfd has the RAM. */
    new (kind: 'userfaultfd', memory: NativeMemory): NativeDirtyLog;
    /** Code EOPNOTSUPP if KVM cannot; begin() rejects with EBUSY if there is one already. */
    new (kind: 'kvm', memory: NativeMemory, vm: NativeVm): NativeDirtyLog;
  };

  /** CLOCK_MONOTONIC, microseconds, one clock for all threads and processes of the host. */
  monotonicMicros(): number;
  /** Frequency of this host's TSC, measured against CLOCK_MONOTONIC_RAW; takes 0.1 s at most, the first time. */
  hostTscKhz(): number;
  /** Triples [fd, events, revents]; the number of ready ones. timeoutMs -1: for ever. A signal counts as a timeout. */
  poll(set: Int32Array, count: number, timeoutMs: number): number;
  createEventFd(): number;
  signalEventFd(fd: number): void;
  drainEventFd(fd: number): boolean;
  closeFd(fd: number): void;
  /** Another descriptor for the same open file. */
  duplicateFd(fd: number): number;
  /** A connected pair of non-blocking Unix stream sockets. */
  socketPair(): [number, number];
  /** A datagram socket to that Unix address ('@' begins an abstract one), for writeFd(); the caller's. */
  connectDatagrams(path: string): number;
  /** Bytes read; 0 at the end, -1 when nothing is there now. */
  readFd(fd: number, into: Uint8Array): number;
  /** Bytes written to a socket; 0 when nothing fits now. */
  writeFd(fd: number, bytes: Uint8Array): number;
  /** A descriptor holding flock(2) LOCK_EX on the file; code EWOULDBLOCK if another process has it. */
  lockFile(path: string): number;
  /** Ends the process at once, with every thread, also those that wait in the kernel: process.exit() waits for them. */
  exitNow(code: number): never;
  /** Name (15 bytes at most, as top -H shows it) and priority of the calling thread; false if that is not permitted. */
  setThread(name: string, nice: number): boolean;

  /**
   * The process makes no system call any more that the process of a VM does not need (native/confine/call_filter.h), nor
   * does a program that it would start gain rights: on all threads, for good. EINVAL on a kernel without seccomp filters.
   */
  refuseCalls(): void;
  /**
   * Takes all capabilities but those with these numbers from all threads, for good. Returns how many have not dropped them
   * yet, because they wait in the kernel: call it again after a while.
   */
  keepCapabilities(numbers: Uint32Array): number;
  /**
   * The kernel goes on with the TLS 1.3 of a TCP connection, TLS_AES_128_GCM_SHA256: what is written to the descriptor, and read
   * of it, is plain from here on. `Secret`: the 16 bytes of the key and the 12 of the nonce; `Sequence`: of the next record.
   */
  encryptInKernel(
    fd: number,
    sendSecret: Uint8Array,
    sendSequence: number,
    receiveSecret: Uint8Array,
    receiveSequence: number,
  ): void;
  /** Whether this kernel can (kTLS): tried on a connection of its own, which loads the module, if the process may. */
  tryKernelTls(): boolean;

  kvmProbe(path?: string): KvmProbe;
  /** Packed struct kvm_cpuid_entry2 of what this host's KVM can give a guest. */
  kvmSupportedCpuid(path?: string): Uint8Array;
  kvmMsrIndices(path?: string): Uint32Array;
  /** Packed struct kvm_msr_entry (16 bytes): MSRs that tell features, with what they would tell a guest here. */
  kvmFeatureMsrs(path?: string): Uint8Array;
  userfaultfdProbe(): { path: 'device' | 'syscall'; features: number };
}

export const POLLIN = 1;
export const POLLOUT = 4;
/** The peer has closed its end, or reset the connection. */
export const POLLRDHUP = 0x2000;
export const POLLERR = 8;
export const POLLHUP = 16;

/** Where package.json is: one up from dist/ or src/. */
export const packageRoot = fileURLToPath(new URL('..', import.meta.url));

/** Workers load the file that the main thread has loaded, whatever is on disk by then: the linker knows it by its path. */
const ADDON = 'postcopy:addon';

function loadAddon(): Native {
  let path = getEnvironmentData(ADDON) as string | undefined;
  if (path === undefined) {
    const { resolve } = createRequire(import.meta.url)('node-gyp-build') as { resolve(directory: string): string };
    setEnvironmentData(ADDON, (path = resolve(packageRoot)));
  }
  const addon = { exports: {} };
  process.dlopen(addon, path);
  return addon.exports as Native;
}

export const native: Native = loadAddon();
