/* hold_registers(load, store, turns, features): registers.h. All that a vCPU has in user mode is loaded, held while a loop
 * turns so often, without an access to memory, and stored again. */
#include "registers.h"

#define CALLEE_SAVED rbx, rbp, r12, r13, r14, r15
#define KEPT rbx, rbp, r8, r9, r10, r11, r12, r13, r14, r15

        .section .text, "ax"
        .code64
        .globl hold_registers
hold_registers:
        .irp register, CALLEE_SAVED
        push %\register
        .endr
        mov %rdx, %rax

        fninit
        fldcw HOLD_FCW(%rdi)
        ldmxcsr HOLD_MXCSR(%rdi)
        .irp number, 7, 6, 5, 4, 3, 2, 1, 0
        fldt HOLD_X87 + \number * 16(%rdi)
        .endr
        test $HOLD_AVX512, %ecx
        jnz 2f
        test $HOLD_AVX, %ecx
        jnz 1f
        .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movups HOLD_VECTOR + \number * 64(%rdi), %xmm\number
        .endr
        jmp 3f
1:      .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups HOLD_VECTOR + \number * 64(%rdi), %ymm\number
        .endr
        jmp 3f
2:      .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups HOLD_VECTOR + \number * 64(%rdi), %zmm\number
        .endr
        .irp number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovups HOLD_VECTOR + \number * 64(%rdi), %zmm\number
        .endr
        .irp number, 0, 1, 2, 3, 4, 5, 6, 7
        kmovq HOLD_MASK + \number * 8(%rdi), %k\number
        .endr
3:      .set at, HOLD_GENERAL
        .irp register, KEPT
        mov at(%rdi), %\register
        .set at, at + 8
        .endr

4:      dec %rax
        jnz 4b

        .set at, HOLD_GENERAL
        .irp register, KEPT
        mov %\register, at(%rsi)
        .set at, at + 8
        .endr
        test $HOLD_AVX512, %ecx
        jnz 6f
        test $HOLD_AVX, %ecx
        jnz 5f
        .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movups %xmm\number, HOLD_VECTOR + \number * 64(%rsi)
        .endr
        jmp 7f
5:      .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups %ymm\number, HOLD_VECTOR + \number * 64(%rsi)
        .endr
        jmp 7f
6:      .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups %zmm\number, HOLD_VECTOR + \number * 64(%rsi)
        .endr
        .irp number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovups %zmm\number, HOLD_VECTOR + \number * 64(%rsi)
        .endr
        .irp number, 0, 1, 2, 3, 4, 5, 6, 7
        kmovq %k\number, HOLD_MASK + \number * 8(%rsi)
        .endr
7:      .irp number, 0, 1, 2, 3, 4, 5, 6, 7
        fstpt HOLD_X87 + \number * 16(%rsi)
        .endr
        fnstcw HOLD_FCW(%rsi)
        stmxcsr HOLD_MXCSR(%rsi)
        .irp register, r15, r14, r13, r12, rbp, rbx
        pop %\register
        .endr
        ret
