/** A descriptor the device worker waits for. */
export interface PollSource {
  readonly fd: number;
  /** POLLIN, POLLOUT; 0 while nothing is to be told. Asked before each wait. */
  readonly events: number;
  /** One of them, or POLLERR or POLLHUP, has come. */
  run(revents: number): void;
}
