/** Registers of a virtio device over MMIO (virtio 1.2, 4.2.2): 32 bits each, little endian. */
export const REGISTER = {
  magicValue: 0x000,
  version: 0x004,
  deviceId: 0x008,
  vendorId: 0x00c,
  deviceFeatures: 0x010,
  deviceFeaturesSel: 0x014,
  driverFeatures: 0x020,
  driverFeaturesSel: 0x024,
  queueSel: 0x030,
  queueNumMax: 0x034,
  queueNum: 0x038,
  queueReady: 0x044,
  queueNotify: 0x050,
  interruptStatus: 0x060,
  interruptAck: 0x064,
  status: 0x070,
  queueDescLow: 0x080,
  queueDescHigh: 0x084,
  queueDriverLow: 0x090,
  queueDriverHigh: 0x094,
  queueDeviceLow: 0x0a0,
  queueDeviceHigh: 0x0a4,
  shmLenLow: 0x0b0,
  shmLenHigh: 0x0b4,
  shmBaseLow: 0x0b8,
  shmBaseHigh: 0x0bc,
  configGeneration: 0x0fc,
  /** The configuration space begins here; it takes accesses of any width. */
  config: 0x100,
} as const;

export const REGISTER_BYTES = 4;

/** "virt" */
export const MAGIC_VALUE = 0x74726976;
/** 1 would be the legacy interface. */
export const VERSION = 2;
/** "PCPY"; drivers do not care. */
export const VENDOR_ID = 0x59504350;
/** Shared memory: there is none, for which the length is -1 (4.2.2). */
export const NO_SHARED_MEMORY = 0xffff_ffff;

/** InterruptStatus. */
export const INTERRUPT_USED_BUFFER = 1 << 0;
export const INTERRUPT_CONFIG_CHANGE = 1 << 1;

/** Device status field (2.1). */
export const STATUS = {
  acknowledge: 1 << 0,
  driver: 1 << 1,
  driverOk: 1 << 2,
  featuresOk: 1 << 3,
  deviceNeedsReset: 1 << 6,
  failed: 1 << 7,
} as const;

/** Bits that the driver may set. */
export const DRIVER_STATUS_BITS =
  STATUS.acknowledge | STATUS.driver | STATUS.driverOk | STATUS.featuresOk | STATUS.failed;
