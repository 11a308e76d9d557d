/** A disk of a VM (--disk path=FILE,id=ID,readonly), checked. */
export interface DiskConfig {
  /** Names it among the VM's disks, also to the guest (its serial number): 1 to 20 of a-z A-Z 0-9 . _ - */
  id: string;
  /** A raw image or a block device. */
  path: string;
  readonly: boolean;
}
