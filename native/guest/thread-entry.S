/* Where every vCPU of the machine of threads begins: threads.h says in which state. */
#include "segments.h"
#include "threads.h"

#define WAIT_US 1000
/* struct thread_start of threads.h. */
#define START_BYTES_SHIFT 4
#define START_STACK_TOP 0
#define START_CPU 8

        .section .text, "ax"
        .code64
        .globl thread_entry
thread_entry:
        mov $1, %ebx
        test %esi, %esi
        jz enter_main

/* vCPU 0 may be zeroing .bss: this keeps to .data and needs no stack. */
        lea thread_starts(%rip), %rdx
        shl $START_BYTES_SHIFT, %rsi
        add %rsi, %rdx
1:      xor %ecx, %ecx
        xchg %rcx, START_STACK_TOP(%rdx)
        test %rcx, %rcx
        jnz 2f
        mov $WAIT_US, %eax
        out %eax, $IDLE_PORT
        jmp 1b
2:      mov %rcx, %rsp
        mov START_CPU(%rdx), %rdi
        call ap_main
        ud2

        .section .data, "aw"
        .balign 16
        .globl thread_starts
thread_starts:
        .skip MAX_CPUS << START_BYTES_SHIFT
