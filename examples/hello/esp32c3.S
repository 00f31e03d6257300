/* The ROM jumps here, with its own stack and interrupts that are off. */

    .section .entry, "ax"
    .global _start
_start:
    csrci   mstatus, 8          /* no interrupts, to be sure */
    la      sp, _stack_top
    j       hello
