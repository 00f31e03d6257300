// SPDX-License-Identifier: MIT OR Apache-2.0
// Registers. `chip.h` is made from chips/NAME.toml by `cargo xtask stub`.
#pragma once
#include <stdint.h>
#include "chip.h"

static inline volatile uint32_t *reg(uint32_t address) { return (volatile uint32_t *)(uintptr_t)address; }

// What was stored before reaches its register before any other register is read. Accesses to one register
// are in order by themselves, and stores among each other.
static inline void ordered(void) {
#ifdef __XTENSA__
    __asm__ volatile("memw" ::: "memory");
#endif
}

// A function of the ROM, whose address and whose source stand in chips/NAME.toml. Six words of
// arguments; what it makes of them is its own. The ROMs of the ESP32, S2 and S3 are windowed code:
// there this is a bridge in entry.S.
#ifdef ROM_WINDOWED
uint32_t rom_call(uint32_t function, const uint32_t args[6]);
#else
static inline uint32_t rom_call(uint32_t function, const uint32_t args[6]) {
    typedef uint32_t rom_function(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
    return ((rom_function *)(uintptr_t)function)(args[0], args[1], args[2], args[3], args[4], args[5]);
}
#endif

// At least so many microseconds: a turn takes no less than three cycles, and no chip here runs
// faster than 400 MHz. At 20 MHz it is some fifty times as long, so ask for little.
void wait_us(uint32_t us);
