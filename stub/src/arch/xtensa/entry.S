// SPDX-License-Identifier: MIT OR Apache-2.0
// Entered by the ROM's MEM_END: from call0 code on the ESP8266, from windowed code elsewhere. As it
// never returns, it does not matter which. The compiler is that of the ESP8266, and so is the
// assembler: what belongs to register windows is spelt out in bytes.
#include "chip.h"

    .section .text.entry, "ax"
    .literal_position
    .global stub_entry
    .align 4
stub_entry:
    rsil a2, 15                 // no interrupt of the ROM comes any more
    mov a5, a1
    movi a1, stack_top
    movi a2, bss_start
    movi a3, bss_end
    movi a4, 0
1:  bgeu a2, a3, 2f
    s32i a4, a2, 0
    addi a2, a2, 4
    j 1b
2:
#ifdef ROM_WINDOWED
    // Only this window is in use: none of the ROM's is spilt to a stack that is not theirs.
    .byte 0x60, 0x48, 0x03      // rsr a6, windowbase
    ssl a6
    movi a7, 1
    sll a7, a7
    .byte 0x70, 0x49, 0x13      // wsr a7, windowstart
    rsync
#endif
#ifdef ROM_USER_CODE
    movi a2, rom_stack
    s32i a5, a2, 0
#endif
    call0 stub_main
3:  j 3b

#ifdef ROM_WINDOWED
// uint32_t rom_call(uint32_t function, const uint32_t args[6]): call8 from call0 code. The callee
// keeps a0 to a7, if it has to by spilling them: a0 to a3 below its own frame, a4 to a7 below the
// frame before ours, whose stack pointer it looks for in the word at a1 - 12.
    .section .text.rom_call, "ax"
    .global rom_call
    .align 4
rom_call:
    addi a1, a1, -64
    s32i a12, a1, 0
    s32i a13, a1, 4
    s32i a14, a1, 8
    s32i a15, a1, 12
    addi a4, a1, 64
    addi a5, a1, -12
    s32i a4, a5, 0
    l32i a10, a3, 0
    l32i a11, a3, 4
    l32i a12, a3, 8
    l32i a13, a3, 12
    l32i a14, a3, 16
    l32i a15, a3, 20
    mov a8, a2
    .byte 0xe0, 0x08, 0x00      // callx8 a8
    mov a2, a10
    l32i a12, a1, 0
    l32i a13, a1, 4
    l32i a14, a1, 8
    l32i a15, a1, 12
    addi a1, a1, 64
    ret
#endif

#ifdef ROM_USER_CODE
// Into the middle of the ROM's main(), as if the program that MEM_END started had returned.
    .section .text.leave, "ax"
    .literal_position
    .global leave
    .align 4
leave:
    movi a2, rom_stack
    l32i a1, a2, 0
    movi a0, ROM_USER_CODE
    jx a0

    .section .bss.rom_stack, "aw", @nobits
    .align 4
rom_stack:
    .space 4
#endif
