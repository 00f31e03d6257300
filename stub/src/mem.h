// SPDX-License-Identifier: MIT OR Apache-2.0
// What a C library would give. Without one, the compiler's own calls of memcpy and memset end here too.
#pragma once
#include <stddef.h>
#include <stdint.h>

static inline void copy(void *to, const void *from, size_t len) {
    uint8_t *out = to;
    const uint8_t *in = from;
    while (len--)
        *out++ = *in++;
}

static inline uint32_t load32(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline void store32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++)
        bytes[i] = value >> 8 * i;
}
