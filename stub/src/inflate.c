// SPDX-License-Identifier: MIT OR Apache-2.0
#include "inflate.h"

#define MAX_BITS 15
#define FAST_BITS 10
#define LITERALS 288
#define DISTANCES 32
#define ADLER_BASE 65521u

// A canonical Huffman code. Codes of up to FAST_BITS bits are found by one look; longer ones are
// counted out bit by bit, which happens rarely.
struct code {
    uint16_t count[MAX_BITS + 1];   // how many codes have this length
    uint16_t symbol[LITERALS];      // in the order of the codes
    uint16_t fast[1 << FAST_BITS];  // by the next bits of the stream: symbol << 4 | length, 0 = longer
};

static struct {
    enum inflate_result failure;  // INFLATE_DONE: none yet
    const uint8_t *in, *in_end;   // of the run in hand
    uint32_t bits;                // not yet used, the next one lowest; above them zeros
    unsigned have;
    uint8_t *out, *given;         // where the next byte goes, and from where on `inflate_take` has not had it
    int wrapped;                  // the whole window holds output
    uint32_t adler_a, adler_b;
    struct code literal, distance;
    uint8_t window[INFLATE_WINDOW] __attribute__((aligned(INFLATE_PART)));
} s;

static int fail(enum inflate_result reason) {
    if (s.failure == INFLATE_DONE)
        s.failure = reason;
    return -1;
}

// Takes as many bits as there is room for, but waits only for as many as are `wanted` (up to 16):
// behind the stream there is nothing to wait for.
static int fill(unsigned wanted) {
    while (s.have <= 24) {
        if (s.in == s.in_end) {
            if (s.have >= wanted)
                break;
            if (inflate_more(&s.in, &s.in_end))
                return fail(INFLATE_SHORT);
        }
        s.bits |= (uint32_t)*s.in++ << s.have;
        s.have += 8;
    }
    return 0;
}

static int take_bits(unsigned count) {
    if (s.have < count && fill(count))
        return -1;
    int value = s.bits & ((1u << count) - 1);
    s.bits >>= count;
    s.have -= count;
    return value;
}

// Refuses codes with too many entries; incomplete ones fail where a missing code is met.
static int build(struct code *code, const uint8_t *lengths, unsigned symbols) {
    uint16_t next[MAX_BITS + 1], place[MAX_BITS + 1];
    for (unsigned i = 0; i <= MAX_BITS; i++)
        code->count[i] = 0;
    for (unsigned i = 0; i < symbols; i++)
        code->count[lengths[i]]++;
    code->count[0] = 0;
    int left = 1;
    unsigned first = 0, index = 0;
    for (unsigned i = 1; i <= MAX_BITS; i++) {
        left = 2 * left - code->count[i];
        if (left < 0)
            return fail(INFLATE_BAD);
        first = (first + code->count[i - 1]) << 1;
        next[i] = first;
        place[i] = index;
        index += code->count[i];
    }
    for (unsigned i = 0; i < 1 << FAST_BITS; i++)
        code->fast[i] = 0;
    for (unsigned i = 0; i < symbols; i++) {
        unsigned length = lengths[i];
        if (i % 16 == 0)
            inflate_breathe();
        if (length == 0)
            continue;
        code->symbol[place[length]++] = i;
        unsigned value = next[length]++, reversed = 0;
        if (length > FAST_BITS)
            continue;
        for (unsigned bit = 0; bit < length; bit++)
            reversed |= (value >> bit & 1) << (length - 1 - bit);
        for (unsigned j = reversed; j < 1 << FAST_BITS; j += 1u << length)
            code->fast[j] = i << 4 | length;
    }
    return 0;
}

static int decode_long(const struct code *code) {
    unsigned value = 0, first = 0, index = 0;
    for (unsigned length = 1; length <= MAX_BITS; length++) {
        if (length > s.have && fill(length))
            return -1;
        value |= s.bits >> (length - 1) & 1;
        unsigned count = code->count[length];
        if (value < first + count) {
            s.bits >>= length;
            s.have -= length;
            return code->symbol[index + value - first];
        }
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return fail(INFLATE_BAD);
}

static __attribute__((noinline)) int decode(const struct code *code) {
    if (s.have < MAX_BITS && fill(1))
        return -1;
    unsigned entry = code->fast[s.bits & ((1 << FAST_BITS) - 1)], length = entry & 15;
    if (length == 0 || length > s.have)
        return decode_long(code);
    s.bits >>= length;
    s.have -= length;
    return entry >> 4;
}


// 2^16 is 15 modulo the base. Of a part of 256 bytes, `a` stays below twice the base, and `b` does so
// once it is folded.
static void add_to_adler(const uint8_t *part, size_t len) {
    uint32_t a = s.adler_a, b = s.adler_b;
    while (len--)
        b += a += *part++;
    b = (b >> 16) * 15 + (b & 0xffff);
    if (a >= ADLER_BASE)
        a -= ADLER_BASE;
    if (b >= ADLER_BASE)
        b -= ADLER_BASE;
    s.adler_a = a;
    s.adler_b = b;
}

static int give(int all) {
    inflate_breathe();
    if ((uintptr_t)s.out % INFLATE_PART && !all)
        return 0;
    const uint8_t *part = s.given;
    size_t len = s.out - part;
    if (s.out == s.window + INFLATE_WINDOW) {
        s.out = s.window;
        s.wrapped = 1;
    }
    s.given = s.out;
    add_to_adler(part, len);
    return inflate_take(part, len) ? fail(INFLATE_REFUSED) : 0;
}

static __attribute__((noinline)) int emit(uint8_t byte) {
    *s.out++ = byte;
    return (uintptr_t)s.out % 64 == 0 ? give(0) : 0;
}

// Lengths and distances grow in groups of 4 and 2 (1 << `group`) that double their step (RFC 1951, 3.2.5).
static int extended(unsigned symbol, unsigned group) {
    if (symbol < 2u << group)
        return symbol;
    unsigned extra = (symbol >> group) - 1;
    int more = take_bits(extra);
    return more < 0 ? -1 : (int)((symbol - (extra << group)) << extra) + more;
}

static int copy_match(unsigned length, unsigned distance) {
    size_t behind = s.out - s.window;
    if (distance > behind && !s.wrapped)
        return fail(INFLATE_BAD);
    const uint8_t *from = s.out - distance, *end = s.window + INFLATE_WINDOW;
    if (distance > behind)
        from += INFLATE_WINDOW;
    while (length--) {
        if (emit(*from++))
            return -1;
        if (from == end)
            from = s.window;
    }
    return 0;
}

static int compressed_block(void) {
    for (;;) {
        int symbol = decode(&s.literal);
        if (symbol < 256) {
            if (symbol < 0 || emit(symbol))
                return -1;
            continue;
        }
        if (symbol == 256)
            return 0;
        if (symbol > 285)
            return fail(INFLATE_BAD);
        int length = symbol == 285 ? 255 : extended(symbol - 257, 2);
        int far = length < 0 ? -1 : decode(&s.distance);
        if (far < 0 || far > 29)
            return fail(INFLATE_BAD);
        int distance = extended(far, 1);
        if (distance < 0 || copy_match(length + 3, distance + 1))
            return -1;
    }
}

static int stored_block(void) {
    take_bits(s.have % 8);
    int length = take_bits(16);
    int inverse = length < 0 ? -1 : take_bits(16);
    if (inverse < 0 || (length ^ inverse) != 0xffff)
        return fail(INFLATE_BAD);
    while (length--) {
        int byte = take_bits(8);
        if (byte < 0 || emit(byte))
            return -1;
    }
    return 0;
}

static int fixed_codes(void) {
    uint8_t lengths[LITERALS];
    for (unsigned i = 0; i < LITERALS; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    if (build(&s.literal, lengths, LITERALS))
        return -1;
    for (unsigned i = 0; i < 30; i++)
        lengths[i] = 5;
    return build(&s.distance, lengths, 30);
}

static int sent_codes(void) {
    static const uint8_t ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[LITERALS + DISTANCES] = {0};
    int header = take_bits(14);
    if (header < 0)
        return -1;
    unsigned literals = (header & 31) + 257, distances = (header >> 5 & 31) + 1, given = (header >> 10) + 4;
    if (literals > 286 || distances > 30)
        return fail(INFLATE_BAD);
    for (unsigned i = 0; i < given; i++) {
        int length = take_bits(3);
        if (length < 0)
            return -1;
        lengths[ORDER[i]] = length;
    }
    if (build(&s.literal, lengths, 19))
        return -1;
    for (unsigned i = 0; i < literals + distances;) {
        inflate_breathe();
        int symbol = decode(&s.literal), again = 1;
        if (symbol < 0)
            return -1;
        uint8_t value = symbol < 16 ? symbol : 0;
        if (symbol >= 16) {
            int more = take_bits(symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
            if (more < 0)
                return -1;
            again = more + (symbol == 18 ? 11 : 3);
            if (symbol == 16) {
                if (i == 0)
                    return fail(INFLATE_BAD);
                value = lengths[i - 1];
            }
        }
        if (i + again > literals + distances)
            return fail(INFLATE_BAD);
        while (again--)
            lengths[i++] = value;
    }
    // The tables still hold the code of the lengths: the distances first, whose table is free.
    return build(&s.distance, lengths + literals, distances) || build(&s.literal, lengths, literals) ? -1 : 0;
}

static int stream(void) {
    int method = take_bits(8), flags = method < 0 ? -1 : take_bits(8);
    if (flags < 0)
        return -1;
    unsigned check = (unsigned)method << 8 | flags;
    while (check >= 31)  // no library here divides
        check -= 31;
    if ((method & 15) != 8 || method >> 4 > 7 || flags & 32 || check)
        return fail(INFLATE_BAD);
    for (int last = 0; !last;) {
        int header = take_bits(3), result;
        if (header < 0)
            return -1;
        last = header & 1;
        switch (header >> 1) {
        case 0: result = stored_block(); break;
        case 1: result = fixed_codes() || compressed_block(); break;
        case 2: result = sent_codes() || compressed_block(); break;
        default: return fail(INFLATE_BAD);
        }
        if (result)
            return -1;
    }
    if (give(1))
        return -1;
    take_bits(s.have % 8);
    uint32_t expected = 0;
    for (int i = 0; i < 4; i++) {
        int byte = take_bits(8);
        if (byte < 0)
            return -1;
        expected = expected << 8 | byte;
    }
    if (expected != (s.adler_b << 16 | s.adler_a))
        return fail(INFLATE_BAD);
    return s.have || s.in != s.in_end ? fail(INFLATE_LONG) : 0;
}

enum inflate_result inflate(void) {
    s.failure = INFLATE_DONE;
    s.in = s.in_end = NULL;
    s.out = s.given = s.window;
    s.bits = s.have = s.wrapped = s.adler_b = 0;
    s.adler_a = 1;
    stream();
    return s.failure;
}
