/* The ROM calls this with windowed registers. This program is compiled without windows (call0), so
 * they are switched off before more registers are touched: nothing of the ROM's is needed again. */

    .section .entry, "ax"
    .global _start
    .literal_position
    .align  4
_start:
    movi    a2, 0x2F            /* PS: WOE off, user mode, all interrupts masked */
    wsr     a2, ps
    rsync
    movi    a1, _stack_top
    movi    a0, 0               /* no caller */
    j       hello
