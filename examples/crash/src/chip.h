/* The numbers of the chip come from chips/NAME.h. */
#ifndef CHIP_H
#define CHIP_H

#include <stddef.h>
#include <stdint.h>

#include CHIP_HEADER

#define WDT_KEY 0x50D83AA1

static inline volatile uint32_t *reg(uint32_t address)
{
    return (volatile uint32_t *)address;
}

/* What a function does behind a call keeps the call from becoming a jump. */
static inline void keep(void)
{
    __asm__ volatile("");
}

/* A function that stays one: it has a frame of its own in every call chain. */
#ifdef __clang__
#define STEP __attribute__((noinline))
#else
#define STEP __attribute__((noipa))
#endif
/* A function that is in none: the debug information alone knows that it was called. */
#define INLINE static inline __attribute__((always_inline))

/* From the linker script. */
extern uint32_t _text_start[], _text_end[], _stack_bottom[], _stack_top[], _ram_start[], _ram_end[];

#endif
