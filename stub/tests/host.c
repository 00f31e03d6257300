// SPDX-License-Identifier: MIT OR Apache-2.0
// The parts of the stub that touch no register, on the machine that builds them. `cargo xtask stub
// --test` compiles this with the host's compiler and gives the inflater streams on standard input.
#include "../src/host.h"
#include "../src/inflate.h"
#include "../src/md5.h"
#include "../src/plan.h"
#include "../src/port.h"
#include "../src/slip.h"
#include <stdio.h>
#include <string.h>

#define CLAIM(what, holds) \
    do { if (!(holds)) { fprintf(stderr, "not so: %s\n", what); failures++; } } while (0)

static int failures;

static void digest_is(const char *text, const char *expected) {
    struct md5 md5;
    uint8_t digest[16];
    char hex[33];
    for (size_t piece = 1; piece < 70; piece += 7) {
        md5_start(&md5);
        for (size_t at = 0, len = strlen(text); at < len; at += piece)
            md5_add(&md5, text + at, len - at < piece ? len - at : piece);
        md5_finish(&md5, digest);
        for (int i = 0; i < 16; i++)
            sprintf(hex + 2 * i, "%02x", digest[i]);
        CLAIM("a digest of RFC 1321, in pieces of any size", strcmp(hex, expected) == 0);
    }
}

static void test_md5(void) {
    digest_is("", "d41d8cd98f00b204e9800998ecf8427e");
    digest_is("abc", "900150983cd24fb0d6963f7d28e17f72");
    digest_is("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b");
    digest_is("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
              "57edf4a22be3c955ac49da2e2107b67a");
}

static void test_plan(void) {
    CLAIM("an aligned 64 KB is one unit", erase_unit(0x10000, 0x20000) == 0x10000);
    CLAIM("32 KB when 64 do not fit", erase_unit(0x10000, 0x1f000) == 0x8000);
    CLAIM("32 KB when 64 are not aligned", erase_unit(0x8000, 0x20000) == 0x8000);
    CLAIM("no 32 KB from 16 MB on", erase_unit(0x1008000, 0x1010000) == 0x1000);
    CLAIM("64 KB from 16 MB on", erase_unit(0x1010000, 0x1020000) == 0x10000);
    CLAIM("a sector else", erase_unit(0x9000, 0x20000) == 0x1000);
    CLAIM("never beyond the end", erase_unit(0x10000, 0x11000) == 0x1000);
    for (uint32_t start = 0; start < 0x30000; start += SECTOR)
        for (uint32_t end = start + SECTOR; end < 0x40000; end += SECTOR) {
            uint32_t at = start;
            while (at < end)
                at += erase_unit(at, end);
            CLAIM("units end where the range does", at == end);
        }
}

void host_poll(void) {}

static const char *arriving;
uint8_t port_get(enum port port) {
    (void)port;
    return *arriving++;
}

static void take(enum port port, const char *bytes, size_t len) {
    arriving = bytes;
    slip_receive(port, len);
}

// At once, byte by byte, and in threes.
static void feed(const char *bytes, size_t len) {
    static size_t piece;
    piece = piece == 0 ? 1 : piece == 1 ? 3 : 0;
    for (size_t at = 0, part; at < len; at += part) {
        part = piece && len - at > piece ? piece : len - at;
        take(PORT_UART, bytes + at, part);
    }
}
#define FEED(text) feed(text, sizeof text - 1)

static void test_slip(void) {
    slip_start(0);
    FEED("noise\xc0\xc0" "a\xdb\xdc" "b\xdb\xdd\xc0");
    struct frame frame = slip_frame();
    CLAIM("escapes are undone", frame.data && frame.len == 4 && !memcmp(frame.data, "a\xc0" "b\xdb", 4));
    slip_release();
    CLAIM("noise is no frame", slip_frame().data == NULL);
    FEED("\xc0" "a\xdb" "x" "b\xc0" "\xc0ok\xc0");
    frame = slip_frame();
    CLAIM("a bad escape spoils one frame only", frame.data && frame.len == 2 && !memcmp(frame.data, "ok", 2));
    slip_release();
    FEED("\xc0");
    for (unsigned i = 0; i < SLOT_MEMORY; i++)
        FEED("x");
    FEED("\xc0");
    CLAIM("a frame that is too long is dropped", slip_frame().data == NULL);
    slip_start(1);
    for (char c = '1'; c <= '8'; c++) {
        char text[3] = {(char)0xc0, c, (char)0xc0};
        feed(text, 3);
    }
    CLAIM("eight small slots", slip_is_full());
    FEED("\xc0");
    CLAIM("and no ninth", slip_is_full());
    for (char c = '1'; c <= '8'; c++) {
        frame = slip_frame();
        CLAIM("frames come in their order", frame.data && frame.len == 1 && *frame.data == c);
        slip_release();
    }
    FEED("\xc0" "a");
    take(PORT_USB_JTAG, "b", 1);
    FEED("c\xc0");
    frame = slip_frame();
    CLAIM("one port does not disturb the other", frame.len == 2 && frame.port == 0 && !memcmp(frame.data, "ac", 2));
}

// Runs of a length that changes, so that each claim is made of streams cut anywhere.
int inflate_more(const uint8_t **run, const uint8_t **end) {
    static uint8_t input[7];
    static size_t len;
    len = fread(input, 1, len % sizeof input + 1, stdin);
    *run = input;
    *end = input + len;
    return len == 0;
}
void inflate_breathe(void) {}
int inflate_take(const uint8_t *data, size_t len) { return len > INFLATE_PART || fwrite(data, 1, len, stdout) != len; }

// Without an argument the claims; with `inflate` a stream on standard input, whose result is the exit
// code; runs of input that it does not ask for are an error of their own, 9.
int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "inflate") == 0) {
        enum inflate_result result = inflate();
        return result == INFLATE_DONE && getchar() != EOF ? 9 : (int)result;
    }
    test_md5();
    test_plan();
    test_slip();
    return failures != 0;
}
