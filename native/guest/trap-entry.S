/* Exceptions of ring 3: each goes back to ring 3, to trap_report(), with what is known about it.
 * Nothing is resumed; the guest never faults when all is well. */
#include "segments.h"

/* SDM volume 3, table 6-1, and AMD's 29 and 30 (APM volume 2, 8.2): 8, 10-14, 17, 21, 29, 30. */
#define VECTORS_WITH_ERROR_CODE 0x60227d00

        .section .text, "ax"
        .code64
/* Ring 3 may not halt: the #GP of this very instruction is the request to halt in ring 0, for good. */
        .globl ring3_halt
ring3_halt:
        hlt

        .macro trap_entry vector
        .balign 16
        .if !((VECTORS_WITH_ERROR_CODE >> \vector) & 1)
        push $0
        .endif
        push $\vector
        jmp trap_common
        .endm

        .balign 16
        .globl trap_entries
trap_entries:
        .set vector, 0
        .rept TRAP_VECTORS
        trap_entry vector
        .set vector, vector + 1
        .endr

trap_common:
        pop %rdi                                /* vector */
        pop %rsi                                /* error code */
        mov (%rsp), %rdx                        /* RIP */
        movabs $ring3_halt, %rax                /* this runs at guest-physical addresses: nothing RIP-relative */
        cmp %rax, %rdx
        je halt_forever
        testb $3, 8(%rsp)                       /* a fault in ring 0 has nowhere to go */
        jz halt_forever
        mov %cr2, %rcx
        movabs $trap_report, %rax
        mov %rax, (%rsp)
        mov 24(%rsp), %rax
        and $-16, %rax
        sub $8, %rax                            /* as if called */
        mov %rax, 24(%rsp)
        iretq

halt_forever:
        hlt
        jmp halt_forever
