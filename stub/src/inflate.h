// SPDX-License-Identifier: MIT OR Apache-2.0
// zlib streams (RFC 1950, 1951). The inflater asks for its input, and so needs no state between blocks:
// whoever gives the input waits for the next block inside `inflate_more`.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum inflate_result {
    INFLATE_DONE,
    INFLATE_SHORT,    // `inflate_more` had no more input
    INFLATE_BAD,      // not a zlib stream, or its Adler-32 differs
    INFLATE_REFUSED,  // `inflate_take` refused the output
    INFLATE_LONG      // all is well, and input stands behind the stream
};

#define INFLATE_WINDOW 32768u
#define INFLATE_PART 256u  // a page of the flash: the next one is made while it is programmed

enum inflate_result inflate(void);

// What whoever uses it provides.
// The next run of input, of a byte or more; what was given before is used up. 0, or there is none.
__attribute__((noinline)) int inflate_more(const uint8_t **run, const uint8_t **end);
// 0 when taken; at most INFLATE_PART bytes a call, and as many but for the last one.
__attribute__((noinline)) int inflate_take(const uint8_t *data, size_t len);
void inflate_breathe(void);  // called now and then while a code is built
