/* Lines of commands from the serial port. vCPU 0 only. */
#ifndef GUEST_INPUT_H
#define GUEST_INPUT_H

/** Takes what has been received; returns a line once it is whole, valid until the next call, or NULL. */
const char *input_poll(void);

#endif
