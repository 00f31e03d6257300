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

// A little-endian word at an aligned place, as all the words of a frame are: a slot begins at a
// multiple of 4, and so does what follows each header.
static inline uint32_t load32(const void *at) {
    typedef uint32_t word __attribute__((may_alias));
    return *(const word *)at;
}
