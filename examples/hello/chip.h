/* What hello.c needs of a chip. Each chip has a file of its own for it. */

#ifndef CHIP_H
#define CHIP_H

#include <stdint.h>

/* The chip's name in print. */
extern const char chip_name[];

/* Ticks of `chip_ticks` in a second. */
extern const uint32_t chip_ticks_per_second;

/* Stops the watchdogs that the ROM leaves running when it starts a program from flash. */
void chip_stop_watchdogs(void);

/* Sends one byte to every console that the chip has. */
void chip_put(char c);

/* A counter that goes round. */
uint32_t chip_ticks(void);

static inline volatile uint32_t *reg(uint32_t address)
{
    return (volatile uint32_t *)address;
}

#endif
