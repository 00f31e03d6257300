// SPDX-License-Identifier: MIT OR Apache-2.0
// A stream of blocks into flash, raw or compressed.
#pragma once
#include "slip.h"
#include <stdint.h>

// Errors are in the numbers of errors.h.
uint16_t write_begin(const uint8_t *words, size_t len, int compressed);
uint16_t write_end(int compressed);
// The MD5 of what the last streams wrote, one behind the other, when that is the range: each page is
// read back while the line and the flash are at work. Whether it is so.
int write_digest(uint32_t address, uint32_t len, uint8_t digest[16]);
// The flash is changed by something else.
void write_forget(void);
// Does what DATA asks for, and answers it itself (before the flash is programmed). Releases the
// slot of the frame, and of every further block that it takes.
void write_data(struct frame frame);
// Begins to erase one unit of what will be written, unless the flash is at work. Whether there is more
// of that to do.
int write_ahead(void);
