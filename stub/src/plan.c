// SPDX-License-Identifier: MIT OR Apache-2.0
#include "plan.h"

uint32_t erase_unit(uint32_t address, uint32_t end) {
    // From 16 MB on most parts have no command for 32 KB with an address of four bytes.
    uint32_t least = address >> 24 ? 0x10000 : 0x8000;
    for (uint32_t unit = 0x10000; unit >= least; unit /= 2)
        if (address % unit == 0 && end - address >= unit)
            return unit;
    return SECTOR;
}
