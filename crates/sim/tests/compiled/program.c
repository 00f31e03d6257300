/* A program for the CPU models: results go into out[], the same with every compiler. Nothing is
 * needed beside it but what compilers call by themselves; see the end. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef short i16;
typedef unsigned long long u64;
typedef long long i64;

#define NOINLINE __attribute__((noinline))

void *memcpy(void *to, const void *from, __SIZE_TYPE__ len) {
    u8 *t = to;
    const u8 *f = from;
    while (len--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, __SIZE_TYPE__ len) {
    u8 *t = to;
    while (len--)
        *t++ = (u8)value;
    return to;
}

/* xorshift */
static u32 state = 2463534242u;
static NOINLINE u32 next(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static NOINLINE u32 crc32(const u8 *data, u32 len) {
    u32 crc = 0xffffffff;
    for (u32 i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc;
}

/* MD5 (RFC 1321), with floor(2^32 * |sin(i + 1)|). */
static const u32 sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
    0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
    0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
    0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
    0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
    0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
    0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
    0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const u8 turns[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};

static void md5_block(u32 *digest, const u8 *block) {
    u32 a = digest[0], b = digest[1], c = digest[2], d = digest[3], words[16];
    memcpy(words, block, 64);
    for (u32 i = 0; i < 64; i++) {
        u32 f, g;
        switch (i >> 4) {
        case 0:
            f = (b & c) | (~b & d);
            g = i;
            break;
        case 1:
            f = (d & b) | (~d & c);
            g = (5 * i + 1) & 15;
            break;
        case 2:
            f = b ^ c ^ d;
            g = (3 * i + 5) & 15;
            break;
        default:
            f = c ^ (b | ~d);
            g = 7 * i & 15;
            break;
        }
        u32 turn = turns[(i >> 4) * 4 + (i & 3)], sum = a + f + sines[i] + words[g];
        a = d;
        d = c;
        c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    digest[0] += a;
    digest[1] += b;
    digest[2] += c;
    digest[3] += d;
}

static NOINLINE void md5(u32 *digest, const u8 *data, u32 len) {
    u8 last[128];
    u32 whole = len & ~63u, rest = len - whole, padded = rest < 56 ? 64 : 128;
    digest[0] = 0x67452301;
    digest[1] = 0xefcdab89;
    digest[2] = 0x98badcfe;
    digest[3] = 0x10325476;
    for (u32 at = 0; at < whole; at += 64)
        md5_block(digest, data + at);
    memset(last, 0, sizeof last);
    memcpy(last, data + whole, rest);
    last[rest] = 0x80;
    u64 bits = (u64)len * 8;
    memcpy(last + padded - 8, &bits, 8);
    for (u32 at = 0; at < padded; at += 64)
        md5_block(digest, last + at);
}

/* Inflate (RFC 1951). */
struct input {
    const u8 *data;
    u32 bits, count;
};

static u32 take(struct input *in, u32 count) {
    while (in->count < count) {
        in->bits |= (u32)*in->data++ << in->count;
        in->count += 8;
    }
    u32 value = in->bits & ((1u << count) - 1);
    in->bits >>= count;
    in->count -= count;
    return value;
}

struct tree {
    u16 counts[16], symbols[288];
};

static NOINLINE void build(struct tree *tree, const u8 *lengths, u32 count) {
    u16 at[16];
    memset(tree->counts, 0, sizeof tree->counts);
    for (u32 i = 0; i < count; i++)
        tree->counts[lengths[i]]++;
    tree->counts[0] = 0;
    at[0] = 0;
    at[1] = 0;
    for (u32 i = 1; i < 15; i++)
        at[i + 1] = (u16)(at[i] + tree->counts[i]);
    for (u32 i = 0; i < count; i++)
        if (lengths[i])
            tree->symbols[at[lengths[i]]++] = (u16)i;
}

static NOINLINE u32 symbol(struct input *in, const struct tree *tree) {
    i32 code = 0, first = 0, index = 0;
    for (u32 len = 1; len < 16; len++) {
        code |= (i32)take(in, 1);
        i32 count = tree->counts[len];
        if (code - count < first)
            return tree->symbols[index + code - first];
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return 256;
}

static const u8 order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
static struct tree codes, distances;

static NOINLINE u32 inflate(u8 *to, const u8 *from) {
    struct input in = {from, 0, 0};
    u8 lengths[320];
    u32 out = 0, last;
    do {
        last = take(&in, 1);
        if (take(&in, 2) != 2)
            return 0;
        u32 literals = take(&in, 5) + 257, others = take(&in, 5) + 1, some = take(&in, 4) + 4;
        memset(lengths, 0, sizeof lengths);
        for (u32 i = 0; i < some; i++)
            lengths[order[i]] = (u8)take(&in, 3);
        build(&codes, lengths, 19);
        for (u32 i = 0; i < literals + others;) {
            u32 value = symbol(&in, &codes);
            if (value < 16) {
                lengths[i++] = (u8)value;
                continue;
            }
            u8 repeated = value == 16 ? lengths[i - 1] : 0;
            u32 times = value == 16   ? 3 + take(&in, 2)
                        : value == 17 ? 3 + take(&in, 3)
                                      : 11 + take(&in, 7);
            while (times--)
                lengths[i++] = repeated;
        }
        u8 rest[32];
        memcpy(rest, lengths + literals, others);
        build(&codes, lengths, literals);
        build(&distances, rest, others);
        for (;;) {
            u32 value = symbol(&in, &codes);
            if (value < 256) {
                to[out++] = (u8)value;
                continue;
            }
            if (value == 256)
                break;
            u32 len = 258;
            if (value < 265) {
                len = value - 254;
            } else if (value < 285) {
                u32 extra = (value - 261) >> 2;
                len = ((4 + ((value - 265) & 3)) << extra) + 3 + take(&in, extra);
            }
            u32 back = symbol(&in, &distances);
            u32 distance = back + 1;
            if (back > 3) {
                u32 extra = (back >> 1) - 1;
                distance = ((2 + (back & 1)) << extra) + 1 + take(&in, extra);
            }
            for (; len; len--, out++)
                to[out] = to[out - distance];
        }
    } while (!last);
    return out;
}

static const u8 packed[] = {
    109, 84, 237, 114, 196, 32, 8, 124, 21, 95, 141, 75, 200, 37, 211, 180,
    185, 81, 123, 153, 123, 251, 170, 187, 18, 204, 244, 79, 62, 96, 129, 101,
    65, 243, 170, 225, 220, 126, 230, 227, 12, 41, 71, 121, 133, 253, 144, 89,
    99, 136, 42, 115, 120, 236, 199, 244, 21, 150, 93, 210, 10, 131, 116, 108,
    46, 97, 243, 246, 212, 148, 225, 160, 153, 175, 102, 138, 154, 52, 51, 105,
    133, 227, 235, 173, 113, 91, 62, 116, 34, 51, 170, 20, 183, 202, 119, 72,
    58, 229, 35, 134, 99, 161, 83, 124, 50, 141, 146, 148, 223, 103, 220, 178,
    142, 156, 83, 254, 125, 244, 4, 112, 180, 88, 242, 20, 134, 151, 212, 248,
    24, 168, 48, 5, 27, 0, 160, 178, 158, 214, 237, 101, 84, 200, 177, 217,
    76, 180, 82, 211, 42, 148, 220, 205, 128, 150, 200, 220, 132, 100, 13, 252,
    160, 4, 104, 34, 191, 17, 235, 46, 215, 13, 94, 160, 234, 203, 75, 239,
    162, 41, 124, 211, 174, 11, 91, 242, 116, 182, 64, 144, 175, 233, 33, 228,
    65, 119, 43, 208, 30, 38, 44, 196, 172, 213, 189, 250, 131, 130, 94, 16,
    58, 196, 9, 105, 221, 25, 229, 98, 97, 140, 19, 25, 24, 103, 240, 107,
    228, 249, 129, 1, 9, 242, 197, 101, 65, 32, 193, 248, 49, 0, 194, 74,
    233, 150, 132, 3, 189, 218, 180, 241, 90, 64, 129, 118, 10, 165, 49, 166,
    110, 108, 138, 199, 137, 47, 215, 186, 48, 143, 31, 99, 125, 92, 178, 86,
    164, 237, 111, 133, 98, 82, 205, 199, 217, 192, 45, 60, 57, 215, 38, 176,
    34, 81, 190, 156, 224, 111, 88, 53, 16, 181, 57, 219, 88, 6, 241, 110,
    199, 130, 180, 81, 206, 111, 41, 107, 186, 235, 128, 249, 0, 114, 55, 3,
    131, 135, 37, 185, 77, 187, 194, 64, 181, 159, 25, 23, 248, 111, 175, 3,
    47, 71, 130, 2, 55, 13, 174, 90, 53, 27, 64, 180, 13, 39, 219, 46,
    137, 62, 22, 116, 40, 195, 5, 70, 16, 85, 114, 55, 222, 112, 162, 92,
    117, 172, 129, 63, 210, 254, 34, 68, 54, 33, 138, 172, 6, 5, 237, 148,
    203, 252, 7,
};

/* Formats %d %u %x %s %c with a width, as printf does, but from an array: LLVM reads a variable
 * number of arguments wrong on Xtensa. */
typedef __UINTPTR_TYPE__ word;

static u8 *number(u8 *to, u32 value, u32 base, i32 width, u8 pad) {
    u8 digits[12];
    i32 count = 0;
    do
        digits[count++] = (u8)"0123456789abcdef"[value % base];
    while (value /= base);
    while (width-- > count)
        *to++ = pad;
    while (count)
        *to++ = digits[--count];
    return to;
}

static NOINLINE u32 format(u8 *to, const char *how, const word *next) {
    u8 *begin = to;
    for (; *how; how++) {
        if (*how != '%') {
            *to++ = (u8)*how;
            continue;
        }
        u8 pad = ' ';
        i32 width = 0;
        if (*++how == '0') {
            pad = '0';
            how++;
        }
        while (*how >= '0' && *how <= '9')
            width = width * 10 + *how++ - '0';
        switch (*how) {
        case 'd': {
            i32 value = (i32)*next++;
            if (value < 0)
                *to++ = '-';
            to = number(to, value < 0 ? -(u32)value : (u32)value, 10, width, pad);
            break;
        }
        case 'u':
            to = number(to, (u32)*next++, 10, width, pad);
            break;
        case 'x':
            to = number(to, (u32)*next++, 16, width, pad);
            break;
        case 'c':
            *to++ = (u8)*next++;
            break;
        case 's': {
            const char *text = (const char *)*next++;
            while (*text)
                *to++ = (u8)*text++;
            break;
        }
        default:
            *to++ = (u8)*how;
        }
    }
    *to = 0;
    return (u32)(to - begin);
}

static NOINLINE int up(u32 a, u32 b) {
    return a < b;
}
static NOINLINE int down(u32 a, u32 b) {
    return a > b;
}
static NOINLINE int by_sign(u32 a, u32 b) {
    return (i32)a < (i32)b;
}

static NOINLINE void sort(u32 *values, i32 count, int (*before)(u32, u32)) {
    if (count < 2)
        return;
    u32 pivot = values[count / 2];
    i32 i = 0, j = count - 1;
    while (i <= j) {
        while (before(values[i], pivot))
            i++;
        while (before(pivot, values[j]))
            j--;
        if (i <= j) {
            u32 other = values[i];
            values[i++] = values[j];
            values[j--] = other;
        }
    }
    sort(values, j + 1, before);
    sort(values + i, count - i, before);
}

/* Deep enough to run out of any number of windows, and back. */
static NOINLINE u32 deep(u32 depth, u32 a, u32 b, u32 c) {
    if (!depth)
        return a ^ b ^ c;
    u32 below = deep(depth - 1, b + depth, c ^ a, a * 3);
    return below * 31 + (a ^ depth) + (b >> 3) - c;
}

static NOINLINE u32 ackermann(u32 m, u32 n) {
    return !m ? n + 1 : !n ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

struct triple {
    i64 wide;
    i16 narrow;
    u8 small;
};

static NOINLINE struct triple made(u32 seed) {
    struct triple triple = {(i64)((u64)seed << 21) - 77, (i16)seed, (u8)(seed >> 5)};
    return triple;
}

static NOINLINE u64 wide(u64 a, u64 b) {
    u64 result = a * b;
    u32 shift = (u32)b & 63;
    result ^= a << shift;
    result += b >> (63 - shift);
    result -= (u64)((i64)a >> shift);
    if (b) {
        result ^= a / b;
        result += a % b;
        i64 signed_b = (i64)(b | 1);
        result -= (u64)((i64)(a >> 1) / signed_b);
    }
    return result + ((i64)a < (i64)b) + 2 * (a > b);
}

static u32 work[256];
static u8 text[4096];

void run(u32 *out) {
    u32 at = 0;
    static const u8 check[] = "123456789";
    out[at++] = crc32(check, 9);
    md5(out + at, check, 9);
    at += 4;
    u32 len = inflate(text, packed);
    out[at++] = len;
    out[at++] = crc32(text, len);
    md5(out + at, text, len);
    at += 4;
    out[at++] = deep(100, 1, 2, 3);
    out[at++] = ackermann(2, 9);
    int (*const orders[3])(u32, u32) = {up, down, by_sign};
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < 256; i++)
            work[i] = next();
        sort(work, 256, orders[round]);
        u32 sum = 0;
        for (u32 i = 0; i < 256; i++)
            sum = sum * 33 + work[i];
        out[at++] = sum;
    }
    u64 total = 0;
    for (u32 i = 0; i < 200; i++) {
        u64 a = (u64)next() << 32 | next(), b = (u64)next() << (i & 31) ^ next();
        total = total * 7 + wide(a, i & 1 ? b : b & 0xffff);
    }
    out[at++] = (u32)total;
    out[at++] = (u32)(total >> 32);
    struct triple triple = made(next());
    out[at++] = (u32)triple.wide + (u32)triple.narrow + triple.small;
    const word arguments[] = {0x80000000, 0xbeef, (word) "stub", 42, '!', 7};
    len = format(text, "%d|%08x|%s|%5u|%c|%d%%", arguments);
    out[at++] = len;
    out[at++] = crc32(text, len);
    i32 small = 0;
    for (i32 i = -40; i < 40; i++)
        small += i / 7 * (i % 5) + (i >> 2) + (i16)(i * 1021) + (signed char)(i * 37);
    out[at++] = (u32)small;
    out[at] = 0x600d;
}

/* For a measure of speed. */
void again(u32 *out) {
    for (u32 round = 0; round < 100; round++) {
        u32 len = inflate(text, packed);
        md5(out, text, len);
    }
}
