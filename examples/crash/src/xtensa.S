/* Xtensa with windows of registers: the entry, the vectors, and what saves the registers. The
 * handlers of windows are those that the architecture's manual prescribes. */

#include CHIP_HEADER

/* The frame of a panic, in words. */
#define PC 0
#define PS 1
#define A(n) (2 + (n))
#define SAR 18
#define EXCCAUSE 19
#define EXCVADDR 20
#define LBEG 21
#define LEND 22
#define LCOUNT 23
#define KIND 24
#define EPC(n) (24 + (n))
#define DEPC 29
#define EXCSAVE 30
#define FRAME_LEN (32 * 4)

/* Kinds of panics, as ESP-IDF numbers them. */
#define KIND_EXCEPTION 0
#define KIND_DEBUG 1
#define KIND_DOUBLE 2
#define KIND_KERNEL 3
#define KIND_WATCHDOG 5

#define PS_WOE_UM 0x40020
#define LEVEL1_INTERRUPT 4

#define PUT(register, word) s32i register, a0, (word) * 4
#define PUT_SPECIAL(name, word) rsr a2, name; PUT(a2, word)

    .section .note.GNU-stack, "", @progbits
    .section .vectors, "ax"
    .p2align 10
    .global vectors
vectors:
overflow4:
    s32e    a0, a5, -16
    s32e    a1, a5, -12
    s32e    a2, a5, -8
    s32e    a3, a5, -4
    rfwo
    .p2align 6
underflow4:
    l32e    a0, a5, -16
    l32e    a1, a5, -12
    l32e    a2, a5, -8
    l32e    a3, a5, -4
    rfwu
    .p2align 6
overflow8:
    s32e    a0, a9, -16
    l32e    a0, a1, -12
    s32e    a1, a9, -12
    s32e    a2, a9, -8
    s32e    a3, a9, -4
    s32e    a4, a0, -32
    s32e    a5, a0, -28
    s32e    a6, a0, -24
    s32e    a7, a0, -20
    rfwo
    .p2align 6
underflow8:
    l32e    a0, a9, -16
    l32e    a1, a9, -12
    l32e    a2, a9, -8
    l32e    a7, a1, -12
    l32e    a3, a9, -4
    l32e    a4, a7, -32
    l32e    a5, a7, -28
    l32e    a6, a7, -24
    l32e    a7, a7, -20
    rfwu
    .p2align 6
overflow12:
    s32e    a0, a13, -16
    l32e    a0, a1, -12
    s32e    a1, a13, -12
    s32e    a2, a13, -8
    s32e    a3, a13, -4
    s32e    a4, a0, -48
    s32e    a5, a0, -44
    s32e    a6, a0, -40
    s32e    a7, a0, -36
    s32e    a8, a0, -32
    s32e    a9, a0, -28
    s32e    a10, a0, -24
    s32e    a11, a0, -20
    rfwo
    .p2align 6
underflow12:
    l32e    a0, a13, -16
    l32e    a1, a13, -12
    l32e    a2, a13, -8
    l32e    a11, a1, -12
    l32e    a3, a13, -4
    l32e    a4, a11, -48
    l32e    a5, a11, -44
    l32e    a6, a11, -40
    l32e    a7, a11, -36
    l32e    a8, a11, -32
    l32e    a9, a11, -28
    l32e    a10, a11, -24
    l32e    a11, a11, -20
    rfwu

    .org vectors + 0x200
level4:
    wsr     a0, excsave4
    j       level4_entry
    .org vectors + 0x280
level6:
    wsr     a0, excsave6
    j       debug_entry
    .org vectors + 0x300
kernel:
    wsr     a0, excsave1
    j       kernel_entry
    .org vectors + 0x340
user:
    wsr     a0, excsave1
    j       user_entry
    .org vectors + 0x3C0
double:
    wsr     a0, excsave2
    j       double_entry
    .org vectors + 0x400

/* Words that code loads lie before it. */
    .p2align 2
.Lnext:         .long panic_next
.Ldouble:       .long double_frame
.Lframe_len:    .long FRAME_LEN
.Lbottom:       .long _stack_bottom
.Ltop:          .long _stack_top
.Lpanic_stack:  .long panic_stack + 3072
.Lisr_bottom:   .long isr_stack
.Lisr_stack:    .long isr_stack + 1024
.Lps:           .long PS_WOE_UM | 5
.Lps_spill:     .long PS_WOE_UM | 5
.Lps_main:      .long PS_WOE_UM
.Lps_isr:       .long PS_WOE_UM | 1
.Lvectors:      .long vectors
.Loverflow:     .long vectors + 0x180
.Lbss_start:    .long _bss_start
.Lbss_end:      .long _bss_end
.Lunused:       .long 0xA5A5A5A5
.Lmain:         .long main
.Lpanic:        .long panic_from_exception
.Lon_timer:     .long on_timer
.Lin_isr:       .long in_isr
.Linterrupted:  .long interrupted

    .global exception_code
exception_code:
    /* a1 and the word at EXCSAVE go into the frame at a0, with the place and PS. */
#define BEGIN(save, place, status, kind) \
    s32i    a1, a0, A(1) * 4; \
    rsr     a1, save; \
    s32i    a1, a0, A(0) * 4; \
    rsr     a1, place; \
    s32i    a1, a0, PC * 4; \
    rsr     a1, status; \
    s32i    a1, a0, PS * 4; \
    movi    a1, kind; \
    s32i    a1, a0, KIND * 4; \
    j       save_rest

    .p2align 2
level4_entry:
    l32r    a0, .Lnext
    l32i    a0, a0, 0
    BEGIN(excsave4, epc4, eps4, KIND_WATCHDOG)
    .p2align 2
debug_entry:
    l32r    a0, .Lnext
    l32i    a0, a0, 0
    BEGIN(excsave6, epc6, eps6, KIND_DEBUG)
    .p2align 2
kernel_entry:
    l32r    a0, .Lnext
    l32i    a0, a0, 0
    BEGIN(excsave1, epc1, ps, KIND_KERNEL)
    .p2align 2
double_entry:
    l32r    a0, .Ldouble        /* the ordinary memory may be what is broken */
    BEGIN(excsave2, epc1, ps, KIND_DOUBLE)
    .p2align 2
user_entry:
    rsr     a0, exccause
    bnei    a0, LEVEL1_INTERRUPT, 1f
    j       interrupt_entry
1:
    l32r    a0, .Lnext
    l32i    a0, a0, 0
    BEGIN(excsave1, epc1, ps, KIND_EXCEPTION)

    .p2align 2
save_rest:
    PUT(a2, A(2))
    PUT(a3, A(3))
    PUT(a4, A(4))
    PUT(a5, A(5))
    PUT(a6, A(6))
    PUT(a7, A(7))
    PUT(a8, A(8))
    PUT(a9, A(9))
    PUT(a10, A(10))
    PUT(a11, A(11))
    PUT(a12, A(12))
    PUT(a13, A(13))
    PUT(a14, A(14))
    PUT(a15, A(15))
    PUT_SPECIAL(sar, SAR)
    PUT_SPECIAL(exccause, EXCCAUSE)
    PUT_SPECIAL(excvaddr, EXCVADDR)
#ifdef HAS_LOOPS
    PUT_SPECIAL(lbeg, LBEG)
    PUT_SPECIAL(lend, LEND)
    PUT_SPECIAL(lcount, LCOUNT)
    movi    a2, 0
    wsr     a2, lcount          /* a loop of the program's must not go on here */
#endif
    PUT_SPECIAL(epc1, EPC(1))
    PUT_SPECIAL(epc2, EPC(2))
    PUT_SPECIAL(epc3, EPC(3))
    PUT_SPECIAL(epc4, EPC(4))
    PUT_SPECIAL(depc, DEPC)
    PUT_SPECIAL(excsave1, EXCSAVE)
    l32r    a2, .Lframe_len
    add     a3, a0, a2
    l32r    a2, .Lnext
    s32i    a3, a2, 0
    mov     a4, a0

    /* The registers of callers go onto the stack, if it is one: not after a fault of the handlers of
     * windows, which stand in another window than the program. */
    l32i    a1, a0, A(1) * 4
    l32i    a2, a0, KIND * 4
    bnei    a2, KIND_DOUBLE, 1f
    rsr     a2, depc
    l32r    a3, .Lvectors
    bltu    a2, a3, 1f
    l32r    a3, .Loverflow
    bltu    a2, a3, 2f
1:  l32r    a2, .Lbottom
    bltu    a1, a2, 4f
    l32r    a2, .Ltop
    bgeu    a2, a1, 5f
4:  l32r    a2, .Lisr_bottom
    bltu    a1, a2, 2f
    l32r    a2, .Lisr_stack
    bltu    a2, a1, 2f
5:  call0   spill
2:
    /* From here on nothing of the program's is in registers. */
    rsr     a2, windowbase
    ssl     a2
    movi    a2, 1
    sll     a2, a2
    wsr     a2, windowstart
    rsync
    l32r    a1, .Lpanic_stack
    movi    a0, 0
    l32r    a2, .Lps
    wsr     a2, ps
    rsync
    mov     a6, a4
    l32r    a2, .Lpanic
    callx4  a2
3:  j       3b

    /* Spills all windows but this one, which must have its own a1. Keeps a4. */
    .p2align 2
spill:
    l32r    a2, .Lps_spill
    wsr     a2, ps
    rsync
    and     a12, a12, a12
    rotw    3
    and     a12, a12, a12
    rotw    3
    and     a12, a12, a12
    rotw    3
    and     a12, a12, a12
    rotw    3
    and     a12, a12, a12
    rotw    4
    ret

    /* The timer. Its handler runs on a stack of its own, above which the interrupted function stands
     * as if it had called. It does not return: this is here for a fault in a handler. */
    .p2align 2
    .global interrupt_entry
interrupt_entry:
    l32r    a0, .Linterrupted
    s32i    a1, a0, 4
    s32i    a2, a0, 8
    rsr     a2, excsave1
    s32i    a2, a0, 0
    rsr     a2, epc1
    s32i    a2, a0, 12
    call0   spill
    l32r    a4, .Linterrupted
    l32i    a2, a4, 0
    l32i    a3, a4, 4
    l32r    a1, .Lisr_stack
    addi    a5, a1, -16
    s32i    a2, a5, 0
    s32i    a3, a5, 4
    l32i    a0, a4, 12
    rsr     a2, windowbase
    ssl     a2
    movi    a2, 1
    sll     a2, a2
    wsr     a2, windowstart
    rsync
    l32r    a2, .Lin_isr
    movi    a3, 1
    s32i    a3, a2, 0
    l32r    a2, .Lps_isr
    wsr     a2, ps
    rsync
    l32r    a2, .Lon_timer
    callx4  a2
1:  j       1b
    .global exception_code_end
exception_code_end:

    .section .entry, "ax"
    .p2align 2
    .global _start
_start:
    rsil    a2, 15
    rsr     a2, windowbase
    ssl     a2
    movi    a2, 1
    sll     a2, a2
    wsr     a2, windowstart
    rsync
    l32r    a2, .Lvectors
    wsr     a2, vecbase
    movi    a2, 0
    wsr     a2, intenable
#ifdef HAS_FLOAT
    wsr     a2, cpenable
#endif
    rsync
    l32r    a1, .Ltop
    l32r    a2, .Lbottom
    l32r    a3, .Lunused
1:  s32i    a3, a2, 0
    addi    a2, a2, 4
    bltu    a2, a1, 1b
    l32r    a2, .Lbss_start
    l32r    a4, .Lbss_end
    movi    a3, 0
2:  bgeu    a2, a4, 3f
    s32i    a3, a2, 0
    addi    a2, a2, 4
    j       2b
3:  movi    a0, 0
    l32r    a2, .Lps_main
    wsr     a2, ps
    rsync
    l32r    a2, .Lmain
    callx4  a2
4:  j       4b

    .data
    .p2align 4
    .global panic_next
panic_next:
    .long   frames

    .bss
    .p2align 4
frames:
    .space  4 * FRAME_LEN
double_frame:
    .space  FRAME_LEN
interrupted:
    .space  16
    .global isr_stack
isr_stack:
    .space  1024
    .space  16                  /* a stack's end is no other's beginning */
panic_stack:
    .space  3072
