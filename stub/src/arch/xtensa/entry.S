// SPDX-License-Identifier: MIT OR Apache-2.0
// Entered by the ROM's MEM_END: from call0 code on the ESP8266, from windowed code elsewhere. As it
// never returns, and never rotates the window, it does not matter which.
    .section .text.entry, "ax"
    .literal_position
    .global stub_entry
    .align 4
stub_entry:
    rsil a2, 15                 // no interrupt of the ROM comes any more
    movi a1, stack_top
    movi a2, bss_start
    movi a3, bss_end
    movi a4, 0
1:  bgeu a2, a3, 2f
    s32i a4, a2, 0
    addi a2, a2, 4
    j 1b
2:  call0 stub_main
3:  j 3b
