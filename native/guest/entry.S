/* From the PVH entry (32-bit protected mode, paging off, EBX = hvm_start_info) to main() in ring 3.
 *
 * Some KVM hosts run rings 1-3 natively but emulate ring 0 one instruction at a time, so as little as possible
 * happens here: the tables are static data, and everything else is done in ring 3, which may do port I/O (IOPL 3, and
 * see tss.h) and write every page (all are mapped with the user bit). */
#include "physical.h"
#include "segments.h"

#define CR0_PE (1 << 0)
#define CR0_MP (1 << 1)
#define CR0_NE (1 << 5)
#define CR0_NW (1 << 29)
#define CR0_CD (1 << 30)
#define CR0_PG (1 << 31)
#define CR4_PAE (1 << 5)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
/* IOPL 3, interrupts off, and bit 1, which is always set. */
#define RING3_RFLAGS 0x3002
#define TSS_AVAILABLE 0x89
#define STACK_BYTES 0x4000

/* XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h): where a PVH loader starts vCPU 0. */
        .section .note.PVH, "a", @note
        .balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .quad pvh_start - GUEST_BASE

        .section .text.entry, "ax"
        .code32
        .globl pvh_start
pvh_start:
        cli
        cld
        lgdt gdt_pointer - GUEST_BASE
        ljmp $SELECTOR_CODE32, $1f - GUEST_BASE
1:      mov $SELECTOR_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        movb $TSS_AVAILABLE, gdt_tss - GUEST_BASE + 5        /* busy, if the machine was reset with its RAM kept */
        mov %ebx, %edi
        mov $bsp_ring3 - GUEST_BASE, %esi
        mov $bsp_stack_top - GUEST_BASE, %ebp
        mov $SELECTOR_TSS, %ebx

/* To ring 3 in long mode. EDI: argument, ESI: entry, EBP: stack top (all guest-physical), BX: TSS selector. */
        .globl enter_ring3
enter_ring3:
        mov %cr4, %eax
        or $CR4_PAE, %eax
        mov %eax, %cr4
        mov $boot_pml4 - GUEST_BASE, %eax
        mov %eax, %cr3
        mov $MSR_EFER, %ecx
        rdmsr
        or $EFER_LME, %eax
        wrmsr
        mov %cr0, %eax
        and $~(CR0_CD | CR0_NW), %eax           /* set after INIT */
        or $(CR0_PG | CR0_NE | CR0_MP | CR0_PE), %eax
        mov %eax, %cr0
        ljmp $SELECTOR_CODE64, $1f - GUEST_BASE
        .code64
1:      mov %edi, %edi                          /* the upper halves are undefined until written */
        mov %esi, %esi
        mov %ebp, %esp
        ltr %bx
        lidt idt_pointer - GUEST_BASE
        mov $SELECTOR_USER_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        movabs $GUEST_BASE, %rdx
        add %rdx, %rsi
        lea (%rsp, %rdx), %rcx
        push $SELECTOR_USER_DATA
        push %rcx
        push $RING3_RFLAGS
        push $SELECTOR_USER_CODE
        push %rsi
        iretq

bsp_ring3:
        xor %ebx, %ebx
/* vCPU 0 in ring 3 of either machine. RDI: guest-physical address of hvm_start_info, BL: on_threads. No stack yet. */
        .globl enter_main
enter_main:
        mov %rdi, %rdx
        lea bss_start(%rip), %rdi
        lea bss_end(%rip), %rcx
        sub %rdi, %rcx
        xor %eax, %eax
        rep stosb                               /* RAM is not zero after a reset that kept it */
        mov %bl, on_threads(%rip)
        lea bsp_stack_top(%rip), %rsp
        mov %rdx, %rdi
        call main
        ud2

        .section .data, "aw"
        .balign 16
        .globl gdt, gdt_pointer
gdt:    .quad 0
        .quad 0x00cf9b000000ffff                /* 32-bit code, flat */
        .quad 0x00cf93000000ffff                /* data, flat */
        .quad 0x00af9b000000ffff                /* 64-bit code */
        .quad 0x00cff3000000ffff                /* data, DPL 3 */
        .quad 0x00affb000000ffff                /* 64-bit code, DPL 3 */
gdt_tss:
        .word BSP_TSS_BYTES - 1
        .word bsp_tss_base_0_15
        .byte bsp_tss_base_16_23
        .byte TSS_AVAILABLE
        .byte 0
        .byte bsp_tss_base_24_31
        .quad 0
        .skip (MAX_CPUS - 1) * TSS_DESCRIPTOR_BYTES
gdt_end:

        .balign 8
        .skip 6                                 /* so that the base is aligned */
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad gdt - GUEST_BASE
        .balign 8
        .skip 6
idt_pointer:
        .word TRAP_VECTORS * 16 - 1
        .quad idt - GUEST_BASE

        .section .bss
        .balign 16
        .skip STACK_BYTES
bsp_stack_top:
        .globl idt
idt:    .skip TRAP_VECTORS * 16
        .globl on_threads                       /* bool of threads.h */
on_threads:
        .skip 1

/* For guest.ld to compare with its own. */
        .globl guest_base
        .set guest_base, GUEST_BASE
