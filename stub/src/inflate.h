// SPDX-License-Identifier: MIT OR Apache-2.0
// zlib streams (RFC 1950, 1951). The inflater asks for its input, and so needs no state between blocks:
// whoever gives the input waits for the next block inside `next`.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum inflate_result {
    INFLATE_DONE,
    INFLATE_SHORT,  // `next` had no more input
    INFLATE_BAD,    // not a zlib stream, or its Adler-32 differs
    INFLATE_REFUSED // `take` refused the output
};

struct inflate_io {
    int (*next)(void);                              // the next byte, or -1
    int (*take)(const uint8_t *data, size_t len);   // 0 when taken; at most INFLATE_PART bytes a call
    void (*breathe)(void);                          // called now and then while a code is built
};

#define INFLATE_WINDOW 32768u
#define INFLATE_PART 64u  // what the flash takes at once: the next part is made while it does

enum inflate_result inflate(const struct inflate_io *io);
