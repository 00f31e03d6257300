// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once
#include <stdint.h>

// Frames of `packet` bytes, not more than `window` of them ahead of what the host has acknowledged,
// and the MD5 of them all.
void read_stream(uint32_t address, uint32_t len, uint32_t packet, uint32_t window);
void read_digest(uint32_t address, uint32_t len, uint8_t digest[16]);
