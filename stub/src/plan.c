// SPDX-License-Identifier: MIT OR Apache-2.0
#include "plan.h"

uint32_t erase_unit(uint32_t address, uint32_t end) {
    for (uint32_t unit = 0x10000; unit > SECTOR; unit = unit == 0x10000 ? 0x8000 : SECTOR)
        if (address % unit == 0 && end - address >= unit)
            return unit;
    return SECTOR;
}
