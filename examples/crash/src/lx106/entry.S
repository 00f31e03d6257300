/* Xtensa without windows of registers: the entry, the vectors, and what saves the registers. */

/* The frame of a panic, in words. */
#define EPC1 16
#define EPC2 17
#define EPC3 18
#define EXCVADDR 19
#define DEPC 20
#define EXCCAUSE 21

    .section .vectors, "ax"
    .align 128
    .global vectors
vectors:
    .org vectors + 0x30
    j       entry               /* kernel */
    .org vectors + 0x50
    j       entry               /* user */
    .org vectors + 0x70
    j       entry               /* double */
    .org vectors + 0x80

    .align  4
.Lframe:    .word frame
.Lstack:    .word panic_stack + 1024
.Lvectors:  .word vectors
.Lbottom:   .word _stack_bottom
.Ltop:      .word _stack_top
.Lunused:   .word 0xA5A5A5A5
.Lbss:      .word _bss_start
.Lbss_end:  .word _bss_end

    .align  4
entry:
    wsr     a0, excsave1
    l32r    a0, .Lframe
    s32i    a1, a0, 4
    rsr     a1, epc1
    s32i    a1, a0, EPC1 * 4
    rsr     a1, exccause
    s32i    a1, a0, EXCCAUSE * 4
    rsr     a1, excsave1
    s32i    a1, a0, 0
    rsr     a1, epc2
    s32i    a1, a0, EPC2 * 4
    rsr     a1, epc3
    s32i    a1, a0, EPC3 * 4
    rsr     a1, excvaddr
    s32i    a1, a0, EXCVADDR * 4
    rsr     a1, depc
    s32i    a1, a0, DEPC * 4
    movi    a2, 0x2F            /* PS.EXCM off, interrupts masked */
    wsr     a2, ps
    rsync
    mov     a2, a0
    l32r    a1, .Lstack
    call0   panic_from_exception
2:  j       2b

    .section .entry, "ax"
    .align  4
    .global _start
_start:
    rsil    a2, 15
    l32r    a2, .Lvectors
    wsr     a2, vecbase
    movi    a2, 0
    wsr     a2, intenable
    rsync
    l32r    a1, .Ltop
    l32r    a2, .Lbottom
    l32r    a3, .Lunused
1:  s32i    a3, a2, 0
    addi    a2, a2, 4
    bltu    a2, a1, 1b
    l32r    a2, .Lbss
    l32r    a4, .Lbss_end
    movi    a3, 0
2:  bgeu    a2, a4, 3f
    s32i    a3, a2, 0
    addi    a2, a2, 4
    j       2b
3:  movi    a2, 0x20
    wsr     a2, ps
    rsync
    movi    a0, 0
    call0   main
4:  j       4b

    .bss
    .align  16
frame:
    .space  22 * 4
    .align  16
panic_stack:
    .space  1024
