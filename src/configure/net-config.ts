/** A network interface of a VM (--net tap=NAME,bridge=NAME,mac=MAC,id=ID), checked. */
export interface NetConfig {
  /** Names it among the VM's interfaces. */
  id: string;
  /** Of the guest's interface, lower case; the same on every host. */
  mac: string;
  /** That the guest was told of on the host where it was booted; that of the TAP device if it is booted here. */
  mtu?: number;
  /** The TAP device on this host; made if it does not exist. Without one the kernel picks a free name. */
  tap?: string;
  /** The bridge that the TAP device joins. */
  bridge?: string;
}
