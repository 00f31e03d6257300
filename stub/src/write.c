// SPDX-License-Identifier: MIT OR Apache-2.0
#include "write.h"
#include "commands.h"
#include "errors.h"
#include "flash.h"
#include "host.h"
#include "inflate.h"
#include "md5.h"
#include "mem.h"
#include "plan.h"

static struct {
    uint8_t active, compressed, encrypted, inflated;
    uint32_t address, left;           // what has still to be written
    uint32_t erased, erase_end;       // [.., erased) is erased
    uint32_t block_size, expected;    // the number that the next block must have
    uint16_t error;                   // of a block that was answered already
    const uint8_t *input, *input_end;  // the block that the inflater begins with, until it has it
} s;

// What is written is read back page by page, while the line and the flash are at work, and not only when
// the host asks for the digest of it all: from `start` to `end`, without a gap.
static struct {
    uint32_t start, end;
    struct md5 md5;
    uint8_t holds;  // the streams so far have ended well, and nothing else has changed the flash
} proof;

void write_forget(void) { proof.holds = 0; }

// What was programmed last and not yet read back, at most a page: how many bytes.
static size_t read_back(uint32_t page[FLASH_PAGE / 4]) {
    size_t len = s.address - proof.end;
    for (size_t at = 0; at < len; at += FLASH_CHUNK)
        flash_read(proof.end + at, page + at / 4, len - at);
    proof.end = s.address;
    return len;
}

int write_digest(uint32_t address, uint32_t len, uint8_t digest[16]) {
    if (!proof.holds || address != proof.start || len != proof.end - address)
        return 0;
    struct md5 md5 = proof.md5;
    md5_finish(&md5, digest);
    return 1;
}

uint16_t write_begin(const uint8_t *words, size_t len, int compressed) {
    s.active = 0;
    if (len != 16 && len != 20)
        return BAD_LENGTH;
    uint32_t size = load32(words), block_size = load32(words + 8), offset = load32(words + 12);
    s.encrypted = len == 20 && load32(words + 16);
    if (!flash_has(offset, size))
        return BAD_LENGTH;
    if (s.encrypted && (offset | size) % ENCRYPTED_ALIGN)
        return BAD_LENGTH;
    // The ROM encrypts, and knows addresses of three bytes only.
    if (s.encrypted && (!CAN_ENCRYPT || (offset + size) > 1u << 24))
        return NOT_THERE;
    if (block_size + 16 + 8 > SLOT_MEMORY / 2)
        return BAD_BLOCK_SIZE;
    s.compressed = compressed;
    s.inflated = 0;
    s.address = offset;
    s.left = size;
    s.erased = offset & ~(SECTOR - 1);
    s.erase_end = size ? (offset + size + SECTOR - 1) & ~(SECTOR - 1) : s.erased;
    s.block_size = block_size;
    s.expected = 0;
    s.error = OK;
    s.active = 1;
    if (!proof.holds || proof.end != offset) {
        proof.start = proof.end = offset;
        md5_start(&proof.md5);
    }
    proof.holds = 0;
    return OK;
}

static void erase_next(void) {
    uint32_t unit = erase_unit(s.erased, s.erase_end);
    s.error = flash_erase(s.erased, unit);
    s.erased += unit;
}

int write_ahead(void) {
    int more = s.active && !s.error && s.erased < s.erase_end;
    if (more && !flash_is_busy())
        erase_next();
    return more;
}

int inflate_take(const uint8_t *data, size_t len) {
    if (len > s.left)
        s.error = TOO_MUCH;
    while (len && !s.error) {
        size_t part = FLASH_PAGE - s.address % FLASH_PAGE;
        if (part > len)
            part = len;
        while (!s.error && s.erased < s.erase_end && s.erased < s.address + part)
            erase_next();
        uint32_t before[FLASH_PAGE / 4];
        size_t read = read_back(before);
        if (!s.error)
            s.error = flash_program(s.address, data, part, s.encrypted);
        md5_add(&proof.md5, before, read);
        s.address += part;
        s.left -= part;
        data += part;
        len -= part;
    }
    return s.error;
}

// Whether this is the block that is due; its answer is sent. A block that came twice (its answer was
// lost) is answered again and not written again; the value says which number is due.
static int accept(struct frame frame) {
    uint16_t error = check_block(frame, s.expected);
    uint8_t op = frame.data[1];
    if (op == FLASH_ENCRYPT_DATA && !(s.encrypted = CAN_ENCRYPT))
        error = BAD_COMMAND;
    else if (!s.active || (op == FLASH_DEFL_DATA) != s.compressed)
        error = NOT_BEGUN;
    else if (error <= DUE) {
        if (frame.len - 24 - 1 >= s.block_size)
            error = BAD_LENGTH;
        else if (s.error)
            error = s.error;
        else if (error && (s.compressed ? s.inflated : s.left == 0))
            error = s.error = TOO_MUCH;
    }
    int due = error == DUE;
    s.expected += due;
    reply(op, s.expected, NULL, 0, due ? OK : error);
    return due;
}

// The inflater asks for more than its block has: waits for the next. Another command ends the stream
// and is left for the main loop.
int inflate_more(const uint8_t **run, const uint8_t **end) {
    *run = s.input;
    *end = s.input_end;
    if (s.input) {
        s.input = NULL;
        return 0;
    }
    slip_release();
    for (;;) {
        struct frame frame = host_wait();
        int is_request = slip_is_request(frame);
        if (is_request && frame.data[1] != FLASH_DEFL_DATA)
            return -1;
        if (is_request && accept(frame)) {
            *run = frame.data + 24;
            *end = frame.data + frame.len;
            return 0;
        }
        slip_release();
    }
}

void inflate_breathe(void) { host_poll(); }

static void inflate_stream(void) {
    enum inflate_result result = inflate();
    s.inflated = result == INFLATE_DONE;
    if (!s.error && result)
        s.error = result == INFLATE_SHORT ? TOO_LITTLE : result == INFLATE_LONG ? TOO_MUCH : INFLATE_FAILED;
    // Of a stream that ends too early, the last slot is free already: the one that is held is not its own.
    if (result != INFLATE_SHORT)
        slip_release();
}

void write_data(struct frame frame) {
    int due = accept(frame);
    if (due && s.compressed) {
        s.input = frame.data + 24;
        s.input_end = frame.data + frame.len;
        inflate_stream();
        return;
    }
    if (due) {
        // Hosts fill the last raw block up.
        uint32_t len = load32(frame.data + 8);
        inflate_take(frame.data + 24, len < s.left ? len : s.left);
    }
    slip_release();
}

uint16_t write_end(int compressed) {
    uint16_t error = s.error;
    if (!s.active || s.compressed != compressed)
        error = NOT_BEGUN;
    else if (!error && s.left)
        error = TOO_LITTLE;
    if (!error) {
        uint32_t page[FLASH_PAGE / 4];
        md5_add(&proof.md5, page, read_back(page));
        proof.holds = 1;
    }
    s.active = 0;
    flash_settle();
    return error;
}
