// SPDX-License-Identifier: MIT OR Apache-2.0
// What to erase at once.
#pragma once
#include <stdint.h>

#define SECTOR 0x1000u

// The largest of 64, 32 (below 16 MB) and 4 KB that begins at `address` by alignment and does not reach
// beyond `end`. Both are multiples of 4 KB, and address < end.
uint32_t erase_unit(uint32_t address, uint32_t end);
