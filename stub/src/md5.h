// SPDX-License-Identifier: MIT OR Apache-2.0
// MD5 (RFC 1321), over data that comes in pieces.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct md5 {
    uint32_t state[4];
    uint32_t length;     // bytes so far; flash is smaller than 4 GB
    uint32_t block[16];  // the part of a block that is not hashed yet
};

void md5_start(struct md5 *md5);
void md5_add(struct md5 *md5, const void *data, size_t len);
void md5_finish(struct md5 *md5, uint8_t digest[16]);
