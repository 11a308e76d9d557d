/* Exceptions, and what ring 3 needs ring 0 for. */
#ifndef GUEST_TRAPS_H
#define GUEST_TRAPS_H

/** Until this, an exception is a triple fault; on threads it stays one. */
void traps_init(void);
/** Writes an event if another vCPU had an exception. vCPU 0 only. */
void traps_report(void);
/** Halts the vCPU that calls for good, with interrupts off; on threads it sleeps for good. */
_Noreturn void halt(void);
/** Takes the exception handlers away and makes an exception. */
_Noreturn void triple_fault(void);

#endif
