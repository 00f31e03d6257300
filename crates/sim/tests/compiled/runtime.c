/* What compilers call for what the CPU does not have: no library is at hand for all of them. */

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define LOW(value) ((u32)(value))
#define HIGH(value) ((u32)((value) >> 32))
#define PAIR(high, low) ((u64)(high) << 32 | (low))

u64 __ashldi3(u64 value, int by) {
    u32 low = LOW(value), high = HIGH(value);
    if (by >= 32)
        return PAIR(low << (by - 32), 0);
    return by ? PAIR(high << by | low >> (32 - by), low << by) : value;
}

u64 __lshrdi3(u64 value, int by) {
    u32 low = LOW(value), high = HIGH(value);
    if (by >= 32)
        return PAIR(0, high >> (by - 32));
    return by ? PAIR(high >> by, low >> by | high << (32 - by)) : value;
}

i64 __ashrdi3(i64 value, int by) {
    u32 low = LOW(value);
    int high = (int)HIGH(value);
    if (by >= 32)
        return (i64)PAIR((u32)(high >> 31), (u32)(high >> (by - 32)));
    return by ? (i64)PAIR((u32)(high >> by), low >> by | (u32)high << (32 - by)) : value;
}

u64 __muldi3(u64 a, u64 b) {
    u32 a0 = LOW(a) & 0xffff, a1 = LOW(a) >> 16, b0 = LOW(b) & 0xffff, b1 = LOW(b) >> 16;
    u32 low = a0 * b0, first = a1 * b0 + (low >> 16), second = a0 * b1 + (first & 0xffff);
    u32 high = a1 * b1 + (first >> 16) + (second >> 16);
    high += LOW(a) * HIGH(b) + HIGH(a) * LOW(b);
    return PAIR(high, second << 16 | (low & 0xffff));
}

static u64 divide(u64 n, u64 d, u64 *rest) {
    u64 quotient = 0, remainder = 0;
    for (int bit = 63; bit >= 0; bit--) {
        remainder = remainder << 1 | (n >> 63);
        n <<= 1;
        quotient <<= 1;
        if (remainder >= d) {
            remainder -= d;
            quotient |= 1;
        }
    }
    *rest = remainder;
    return quotient;
}

u64 __udivdi3(u64 n, u64 d) {
    u64 rest;
    return divide(n, d, &rest);
}

u64 __umoddi3(u64 n, u64 d) {
    u64 rest;
    divide(n, d, &rest);
    return rest;
}

i64 __divdi3(i64 n, i64 d) {
    u64 rest, quotient = divide(n < 0 ? -(u64)n : (u64)n, d < 0 ? -(u64)d : (u64)d, &rest);
    return (i64)((n < 0) != (d < 0) ? -quotient : quotient);
}

/* The LX106 divides by calls alone. */
static u32 divide32(u32 n, u32 d, u32 *rest) {
    u32 quotient = 0, remainder = 0;
    for (int bit = 0; bit < 32; bit++) {
        remainder = remainder << 1 | n >> 31;
        n <<= 1;
        quotient <<= 1;
        if (remainder >= d) {
            remainder -= d;
            quotient |= 1;
        }
    }
    *rest = remainder;
    return quotient;
}

u32 __udivsi3(u32 n, u32 d) {
    u32 rest;
    return divide32(n, d, &rest);
}

u32 __umodsi3(u32 n, u32 d) {
    u32 rest;
    divide32(n, d, &rest);
    return rest;
}

int __divsi3(int n, int d) {
    u32 rest, quotient = divide32(n < 0 ? -(u32)n : (u32)n, d < 0 ? -(u32)d : (u32)d, &rest);
    return (int)((n < 0) != (d < 0) ? -quotient : quotient);
}

int __modsi3(int n, int d) {
    u32 rest;
    divide32(n < 0 ? -(u32)n : (u32)n, d < 0 ? -(u32)d : (u32)d, &rest);
    return (int)(n < 0 ? -rest : rest);
}
