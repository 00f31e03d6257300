// SPDX-License-Identifier: MIT OR Apache-2.0
// Entered by the ROM's MEM_END, as a function that never returns.
    .section .text.entry, "ax"
    .global stub_entry
stub_entry:
    csrci mstatus, 8            // MIE: no interrupt of the ROM comes any more
    la sp, stack_top
    la t0, bss_start
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call stub_main
3:  j 3b
