/* Where an application processor wakes up after SIPI: real mode, CS = TRAMPOLINE_ADDRESS / 16. The BSP copies this
 * code to TRAMPOLINE_ADDRESS and fills in the mailbox before each SIPI; processors are started one at a time. */
#include "physical.h"
#include "segments.h"

#define IN_TRAMPOLINE(label) (TRAMPOLINE_ADDRESS + label - ap_trampoline)

        .section .rodata, "a"
        .balign 16
        .globl ap_trampoline, ap_trampoline_end, ap_mailbox
        .code16
ap_trampoline:
        cli
        cld
        xor %ax, %ax
        mov %ax, %ds
        lgdtl IN_TRAMPOLINE(ap_gdt_pointer)
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmpl $SELECTOR_CODE32, $ap_protected_mode - GUEST_BASE
        .balign 8
        .skip 6
ap_gdt_pointer:
        .word SELECTOR_TSS - 1                  /* the code and data segments; the full one is loaded next */
        .long gdt - GUEST_BASE
        .balign 8
ap_mailbox:                                     /* struct ap_mailbox of cpus.c */
        .long 0                                 /* guest-physical stack top */
        .long 0                                 /* TSS selector */
        .long 0                                 /* guest-physical struct cpu, below 4 GiB */
ap_trampoline_end:

        .section .text, "ax"
        .code32
ap_protected_mode:
        mov $SELECTOR_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        lgdt gdt_pointer - GUEST_BASE
        mov IN_TRAMPOLINE(ap_mailbox), %ebp
        mov IN_TRAMPOLINE(ap_mailbox) + 4, %ebx
        mov IN_TRAMPOLINE(ap_mailbox) + 8, %edi
        mov $ap_ring3 - GUEST_BASE, %esi
        jmp enter_ring3

        .code64
ap_ring3:
        movabs $GUEST_BASE, %rax
        add %rax, %rdi
        call ap_main
        ud2
