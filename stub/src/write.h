// SPDX-License-Identifier: MIT OR Apache-2.0
// A stream of blocks into flash, raw or compressed.
#pragma once
#include "slip.h"
#include <stdint.h>

// What a command is answered with: the value, and an error in the numbers of errors.h.
struct answer {
    uint32_t value;
    uint16_t error;
};

struct answer write_begin(const uint8_t *words, size_t len, int compressed);
struct answer write_end(int compressed);
// Does what DATA asks for, and answers it itself (before the flash is programmed). Releases the
// slot of the frame, and of every further block that it takes.
void write_data(struct frame frame);
// Begins to erase one unit of what will be written, unless the flash is at work. Whether there is more
// of that to do.
int write_ahead(void);
