// SPDX-License-Identifier: MIT OR Apache-2.0
#include "inflate.h"

#define MAX_BITS 15
#define FAST_BITS 9
#define LITERALS 288
#define DISTANCES 32

// A canonical Huffman code. Codes of up to FAST_BITS bits are found by one look; longer ones are
// counted out bit by bit, which happens rarely.
struct code {
    uint16_t count[MAX_BITS + 1];   // how many codes have this length
    uint16_t symbol[LITERALS];      // in the order of the codes
    uint16_t fast[1 << FAST_BITS];  // by the next bits of the stream: symbol << 4 | length, 0 = longer
};

static struct {
    const struct inflate_io *io;
    enum inflate_result failure;  // INFLATE_DONE: none yet
    uint32_t bits;                // not yet used, the next one lowest
    unsigned have;
    uint32_t written;             // all output; its place in the window is the remainder
    uint32_t given;               // what `take` has had of it
    uint32_t adler_a, adler_b;
    uint8_t window[INFLATE_WINDOW] __attribute__((aligned(4)));
    struct code literal, distance;
} s;

static int fail(enum inflate_result reason) {
    if (s.failure == INFLATE_DONE)
        s.failure = reason;
    return -1;
}

// Has at least `count` (up to 16) bits ready.
static int need(unsigned count) {
    while (s.have < count) {
        int byte = s.io->next();
        if (byte < 0)
            return fail(INFLATE_SHORT);
        s.bits |= (uint32_t)byte << s.have;
        s.have += 8;
    }
    return 0;
}

static int take_bits(unsigned count) {
    if (need(count))
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
            s.io->breathe();
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

static int decode(const struct code *code) {
    // No more input than the code needs may be asked for: behind the stream there is none.
    unsigned entry;
    while ((entry = code->fast[s.bits & ((1 << FAST_BITS) - 1)] & 15) == 0 || entry > s.have) {
        if (s.have >= FAST_BITS && entry == 0)
            break;
        if (need(s.have + 1))
            return -1;
    }
    entry = code->fast[s.bits & ((1 << FAST_BITS) - 1)];
    if (entry) {
        s.bits >>= entry & 15;
        s.have -= entry & 15;
        return entry >> 4;
    }
    int value = 0, first = 0, index = 0;
    for (unsigned length = 1; length <= MAX_BITS; length++) {
        int bit = take_bits(1);
        if (bit < 0)
            return -1;
        value |= bit;
        int count = code->count[length];
        if (value - count < first)
            return code->symbol[index + value - first];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return fail(INFLATE_BAD);
}

static int give(void) {
    uint32_t len = s.written - s.given;
    const uint8_t *part = s.window + s.given % INFLATE_WINDOW;
    for (uint32_t i = 0; i < len; i++) {  // both sums stay below 2 * 65521
        s.adler_a += part[i];
        if (s.adler_a >= 65521)
            s.adler_a -= 65521;
        s.adler_b += s.adler_a;
        if (s.adler_b >= 65521)
            s.adler_b -= 65521;
    }
    s.given = s.written;
    return len && s.io->take(part, len) ? fail(INFLATE_REFUSED) : 0;
}

static int emit(uint8_t byte) {
    s.window[s.written++ % INFLATE_WINDOW] = byte;
    return s.written % INFLATE_PART == 0 ? give() : 0;
}

// Lengths and distances grow in groups of 4 and 2 that double their step (RFC 1951, 3.2.5).
static int length_of(unsigned symbol) {
    if (symbol == 28)
        return 258;
    if (symbol < 8)
        return 3 + symbol;
    unsigned extra = symbol / 4 - 1;
    int more = take_bits(extra);
    return more < 0 ? -1 : (int)(3 + ((4 + symbol % 4) << extra)) + more;
}

static int distance_of(unsigned symbol) {
    if (symbol < 4)
        return 1 + symbol;
    unsigned extra = symbol / 2 - 1;
    int more = take_bits(extra);
    return more < 0 ? -1 : (int)(1 + ((2 + symbol % 2) << extra)) + more;
}

static int compressed_block(void) {
    for (;;) {
        int symbol = decode(&s.literal);
        if (symbol < 0 || symbol == 256)
            return symbol < 0 ? -1 : 0;
        if (symbol < 256) {
            if (emit(symbol))
                return -1;
            continue;
        }
        if (symbol > 285)
            return fail(INFLATE_BAD);
        int length = length_of(symbol - 257);
        int far = length < 0 ? -1 : decode(&s.distance);
        if (far < 0 || far > 29)
            return fail(INFLATE_BAD);
        int distance = distance_of(far);
        if (distance < 0)
            return -1;
        if ((uint32_t)distance > s.written)
            return fail(INFLATE_BAD);
        while (length--)
            if (emit(s.window[(s.written - distance) % INFLATE_WINDOW]))
                return -1;
    }
}

static int stored_block(void) {
    s.bits >>= s.have % 8;
    s.have -= s.have % 8;
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
    if (give())
        return -1;
    s.bits >>= s.have % 8;
    s.have -= s.have % 8;
    uint32_t expected = 0;
    for (int i = 0; i < 4; i++) {
        int byte = take_bits(8);
        if (byte < 0)
            return -1;
        expected = expected << 8 | byte;
    }
    return expected == (s.adler_b << 16 | s.adler_a) ? 0 : fail(INFLATE_BAD);
}

enum inflate_result inflate(const struct inflate_io *io) {
    s.io = io;
    s.failure = INFLATE_DONE;
    s.bits = s.have = s.written = s.given = s.adler_b = 0;
    s.adler_a = 1;
    stream();
    return s.failure;
}
