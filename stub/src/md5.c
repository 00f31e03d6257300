// SPDX-License-Identifier: MIT OR Apache-2.0
#include "md5.h"
#include "host.h"
#include "mem.h"

// floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4.
static const uint32_t SINES[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

// Of each round: four left rotations, used in turn, the first one lowest; which word comes first, and how
// far it is to the next.
static const struct {
    uint32_t turns;
    uint8_t first, stride;
} ROUNDS[4] = {{0x16110c07, 0, 1}, {0x140e0905, 1, 5}, {0x17100b04, 5, 3}, {0x150f0a06, 0, 7}};

static void hash_block(uint32_t state[4], const uint32_t words[16]) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    const uint32_t *sine = SINES;
    for (unsigned round = 0; round < 4; round++) {
        uint32_t turns = ROUNDS[round].turns;
        unsigned word = ROUNDS[round].first;
        do {
            uint32_t mix = round == 0   ? d ^ (b & (c ^ d))
                           : round == 1 ? c ^ (d & (b ^ c))
                           : round == 2 ? b ^ c ^ d
                                        : c ^ (b | ~d);
            uint32_t sum = a + mix + *sine++ + words[word & 15];
            word += ROUNDS[round].stride;
            a = d;
            d = c;
            c = b;
            b += sum << (turns & 31) | sum >> (32 - (turns & 31));
            turns = turns >> 8 | turns << 24;
        } while ((sine - SINES) & 15);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void md5_start(struct md5 *md5) {
    md5->state[0] = 0x67452301;
    md5->state[1] = 0xefcdab89;
    md5->state[2] = 0x98badcfe;
    md5->state[3] = 0x10325476;
    md5->length = 0;
}

void md5_add(struct md5 *md5, const void *data, size_t len) {
    const uint8_t *bytes = data;
    while (len > 0) {
        size_t used = md5->length % 64;
        size_t part = 64 - used < len ? 64 - used : len;
        // Both architectures are little-endian, as MD5 is.
        const uint32_t *block = md5->block;
        if (part == 64 && (uintptr_t)bytes % 4 == 0)
            block = (const uint32_t *)bytes;
        else
            copy((uint8_t *)md5->block + used, bytes, part);
        md5->length += part;
        bytes += part;
        len -= part;
        if (used + part == 64) {
            hash_block(md5->state, block);
            host_poll();
        }
    }
}

void md5_finish(struct md5 *md5, uint8_t digest[16]) {
    uint32_t bits[2] = {md5->length << 3, md5->length >> 29};
    uint8_t padding = 0x80;
    do {
        md5_add(md5, &padding, 1);
        padding = 0;
    } while (md5->length % 64 != 56);
    md5_add(md5, bits, sizeof bits);
    copy(digest, md5->state, 16);
}
