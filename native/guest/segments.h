/* Selectors of the one GDT all vCPUs share; read by C and by assembly. */
#ifndef GUEST_SEGMENTS_H
#define GUEST_SEGMENTS_H

#define SELECTOR_CODE32 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_CODE64 0x18
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_USER_CODE 0x2b
/* A TSS descriptor takes two slots; vCPU n has the n-th pair. */
#define SELECTOR_TSS 0x30
#define TSS_DESCRIPTOR_BYTES 16
#define TSS_BYTES 104
/* That of vCPU 0 has a bit for each of 65,536 ports behind it, and a byte of ones (SDM volume 1, 19.5.2). */
#define IO_BITMAP_BYTES 8192
#define BSP_TSS_BYTES (TSS_BYTES + IO_BITMAP_BYTES + 1)

/* xAPIC ids are 8 bits wide and 255 is the broadcast. */
#define MAX_CPUS 255

/* One page below 1 MiB where an application processor wakes up: SIPI vector 8. */
#define TRAMPOLINE_ADDRESS 0x8000

#define TRAP_VECTORS 32

#endif
