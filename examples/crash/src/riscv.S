/* RISC-V: the entry, the vectors, and what saves the registers. */

    .section .entry, "ax"
    .global _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra           /* nobody has called this */
    csrci   mstatus, 8
    la      sp, _stack_top
    /* As FreeRTOS marks a stack: what was never used can be told. */
    la      t0, _stack_bottom
    li      t1, 0xA5A5A5A5
1:  sw      t1, 0(t0)
    addi    t0, t0, 4
    bltu    t0, sp, 1b
    addi    sp, sp, -64         /* what is dumped in lines of 32 bytes goes beyond the last frame */
    la      t0, _bss_start
    la      t1, _bss_end
2:  bgeu    t0, t1, 3f
    sw      zero, 0(t0)
    addi    t0, t0, 4
    j       2b
3:  la      t0, vectors
    ori     t0, t0, 1           /* one vector for each interrupt */
    csrw    mtvec, t0
    la      t0, frames
    csrw    mscratch, t0
    li      gp, 0
    li      tp, 0
    li      s0, 0
    li      ra, 0
    call    main
4:  j       4b
    .cfi_endproc
    .size _start, . - _start

    .section .vectors, "ax"
    .global vectors
    .balign 256
    .option push
    .option norvc
    .option norelax
vectors:
    j       exception_entry     /* exceptions */
    .rept 4
    j       exception_entry
    .endr
    j       interrupt_entry     /* 5: the timer */
    .rept 26
    j       exception_entry     /* 24: watchdogs */
    .endr
    .option pop
    .size vectors, . - vectors

#define FRAME_LEN (37 * 4)

    .text
    .balign 4
    .global exception_entry
    .type exception_entry, @function
exception_entry:
    .cfi_startproc
    .cfi_undefined ra
    csrrw   t0, mscratch, t0    /* where the next frame goes */
    sw      ra, 1 * 4(t0)
    sw      sp, 2 * 4(t0)
    sw      gp, 3 * 4(t0)
    sw      tp, 4 * 4(t0)
    sw      t1, 6 * 4(t0)
    sw      t2, 7 * 4(t0)
    sw      s0, 8 * 4(t0)
    sw      s1, 9 * 4(t0)
    sw      a0, 10 * 4(t0)
    sw      a1, 11 * 4(t0)
    sw      a2, 12 * 4(t0)
    sw      a3, 13 * 4(t0)
    sw      a4, 14 * 4(t0)
    sw      a5, 15 * 4(t0)
    sw      a6, 16 * 4(t0)
    sw      a7, 17 * 4(t0)
    sw      s2, 18 * 4(t0)
    sw      s3, 19 * 4(t0)
    sw      s4, 20 * 4(t0)
    sw      s5, 21 * 4(t0)
    sw      s6, 22 * 4(t0)
    sw      s7, 23 * 4(t0)
    sw      s8, 24 * 4(t0)
    sw      s9, 25 * 4(t0)
    sw      s10, 26 * 4(t0)
    sw      s11, 27 * 4(t0)
    sw      t3, 28 * 4(t0)
    sw      t4, 29 * 4(t0)
    sw      t5, 30 * 4(t0)
    sw      t6, 31 * 4(t0)
    csrr    t1, mscratch
    sw      t1, 5 * 4(t0)
    csrr    t1, mepc
    sw      t1, 0 * 4(t0)
    csrr    t1, mstatus
    sw      t1, 32 * 4(t0)
    csrr    t1, mtvec
    sw      t1, 33 * 4(t0)
    csrr    t1, mcause
    sw      t1, 34 * 4(t0)
    csrr    t1, mtval
    sw      t1, 35 * 4(t0)
    csrr    t1, mhartid
    sw      t1, 36 * 4(t0)
    addi    t1, t0, FRAME_LEN
    csrw    mscratch, t1
    mv      a0, t0
    la      sp, panic_stack + 2048
    call    panic_from_exception
1:  j       1b
    .cfi_endproc
    .size exception_entry, . - exception_entry

    /* An interrupt that returns: the caller-saved registers go onto the program's stack. */
    .balign 4
    .global interrupt_entry
    .type interrupt_entry, @function
interrupt_entry:
    .cfi_startproc
    .cfi_signal_frame
    .cfi_return_column 64       /* the place of the interruption, mepc */
    addi    sp, sp, -80
    .cfi_def_cfa_offset 80
    sw      ra, 64(sp)
    .cfi_offset ra, -16
    sw      t0, 4(sp)
    .cfi_offset t0, -76
    sw      t1, 8(sp)
    .cfi_offset t1, -72
    sw      t2, 12(sp)
    .cfi_offset t2, -68
    sw      a0, 16(sp)
    .cfi_offset a0, -64
    sw      a1, 20(sp)
    .cfi_offset a1, -60
    sw      a2, 24(sp)
    .cfi_offset a2, -56
    sw      a3, 28(sp)
    .cfi_offset a3, -52
    sw      a4, 32(sp)
    .cfi_offset a4, -48
    sw      a5, 36(sp)
    .cfi_offset a5, -44
    sw      a6, 40(sp)
    .cfi_offset a6, -40
    sw      a7, 44(sp)
    .cfi_offset a7, -36
    sw      t3, 48(sp)
    .cfi_offset t3, -32
    sw      t4, 52(sp)
    .cfi_offset t4, -28
    sw      t5, 56(sp)
    .cfi_offset t5, -24
    sw      t6, 60(sp)
    .cfi_offset t6, -20
    csrr    t0, mepc
    sw      t0, 0(sp)
    .cfi_offset 64, -80
    call    on_timer
    lw      t0, 0(sp)
    csrw    mepc, t0
    lw      ra, 64(sp)
    lw      t0, 4(sp)
    lw      t1, 8(sp)
    lw      t2, 12(sp)
    lw      a0, 16(sp)
    lw      a1, 20(sp)
    lw      a2, 24(sp)
    lw      a3, 28(sp)
    lw      a4, 32(sp)
    lw      a5, 36(sp)
    lw      a6, 40(sp)
    lw      a7, 44(sp)
    lw      t3, 48(sp)
    lw      t4, 52(sp)
    lw      t5, 56(sp)
    lw      t6, 60(sp)
    addi    sp, sp, 80
    mret
    .cfi_endproc
    .size interrupt_entry, . - interrupt_entry

    .bss
    .balign 16
frames:                         /* a panic, one within it, and one that is too many */
    .space 4 * FRAME_LEN
    .balign 16
panic_stack:
    .space 2048
