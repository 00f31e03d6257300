// SPDX-License-Identifier: MIT OR Apache-2.0
// Registers. `chip.h` is made from chips/NAME.toml by `cargo xtask stub`.
#pragma once
#include <stdint.h>
#include "chip.h"

static inline volatile uint32_t *reg(uint32_t address) { return (volatile uint32_t *)(uintptr_t)address; }

// At least so many microseconds: a turn takes no less than three cycles, and no chip here runs
// faster than 400 MHz. At 20 MHz it is some fifty times as long, so ask for little.
static inline void wait_us(uint32_t us) {
    while (us--)
        for (volatile uint32_t turns = 134; turns; turns--)
            ;
}
