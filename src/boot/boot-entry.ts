/** What to boot. Paths are for messages only: the files are read already. */
export interface BootFiles {
  kernel: Uint8Array;
  kernelPath: string;
  initrd?: Uint8Array;
  initrdPath?: string | undefined;
  cmdline: string;
}

/** How the first vCPU enters a loaded kernel. */
export interface BootEntry {
  /**
   * linux64: long mode, identity page tables, RSI = boot_params (Documentation/arch/x86/boot.rst, 64-bit boot protocol).
   * pvh: 32-bit protected mode without paging, EBX = hvm_start_info (Xen docs/misc/pvh.pandoc).
   */
  protocol: 'linux64' | 'pvh';
  /** Guest-physical address of the first instruction. */
  entryAddress: number;
  /** Guest-physical address of boot_params or hvm_start_info. */
  bootInfoAddress: number;
}
