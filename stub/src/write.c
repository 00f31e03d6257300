// SPDX-License-Identifier: MIT OR Apache-2.0
#include "write.h"
#include "commands.h"
#include "errors.h"
#include "flash.h"
#include "host.h"
#include "inflate.h"
#include "mem.h"
#include "plan.h"

static struct {
    uint8_t active, compressed, encrypted, inflated;
    uint32_t address, left;           // what has still to be written
    uint32_t erased, erase_end;       // [.., erased) is erased
    uint32_t block_size, expected;    // the number that the next block must have
    uint16_t error;                   // of a block that was answered already
    const uint8_t *input;             // what the inflater has still to take of its block
    size_t input_len;
} s;

struct answer write_begin(const uint8_t *words, size_t len, int compressed) {
    s.active = 0;
    if (len != 16 && len != 20)
        return (struct answer){0, BAD_LENGTH};
    uint32_t size = load32(words), block_size = load32(words + 8), offset = load32(words + 12);
    s.encrypted = len == 20 && load32(words + 16);
    if (!flash_has(offset, size) || size > 0xffffffffu - (SECTOR - 1) - offset)
        return (struct answer){0, BAD_LENGTH};
    if (s.encrypted && (offset | size) % ENCRYPTED_ALIGN)
        return (struct answer){0, BAD_LENGTH};
    // The ROM encrypts, and knows addresses of three bytes only.
    if (s.encrypted && (!CAN_ENCRYPT || (offset + size) > 1u << 24))
        return (struct answer){0, NOT_THERE};
    if (size && flash_is_locked())
        return (struct answer){0, SPI_LOCKED};
    if (block_size + 16 + 8 > SLOT_MEMORY / 2)
        return (struct answer){0, BAD_BLOCK_SIZE};
    s.compressed = compressed;
    s.inflated = 0;
    s.address = offset;
    s.left = size;
    s.erased = offset & ~(SECTOR - 1);
    s.erase_end = size ? (offset + size + SECTOR - 1) & ~(SECTOR - 1) : s.erased;
    s.block_size = block_size;
    s.expected = 0;
    s.error = OK;
    s.input_len = 0;
    s.active = 1;
    return (struct answer){0, OK};
}

static void erase_next(void) {
    uint32_t unit = erase_unit(s.erased, s.erase_end);
    s.error = flash_error(flash_erase(s.erased, unit));
    s.erased += unit;
}

int write_ahead(void) {
    int more = s.active && !s.error && s.erased < s.erase_end;
    if (more && !flash_is_busy())
        erase_next();
    return more;
}

static int write(const uint8_t *data, size_t len) {
    if (len > s.left)
        s.error = TOO_MUCH;
    while (!s.error && s.erased < s.erase_end && s.erased < s.address + len)
        erase_next();
    if (!s.error)
        s.error = flash_error(flash_program(s.address, data, len, s.encrypted));
    s.address += len;
    s.left -= len;
    return s.error;
}

// Whether this is the block that is due; its answer is sent. A block that came twice (its answer was
// lost) is answered again and not written again; the value says which number is due.
static int accept(struct frame frame) {
    uint16_t error = OK;
    int due = 0;
    uint32_t len = frame.len >= 24 ? load32(frame.data + 8) : 0, number = frame.len >= 24 ? load32(frame.data + 12) : 0;
    uint8_t op = frame.data[1];
    if (op == FLASH_ENCRYPT_DATA && !(s.encrypted = CAN_ENCRYPT))
        error = BAD_COMMAND;
    else if (!s.active || (op == FLASH_DEFL_DATA) != s.compressed)
        error = NOT_BEGUN;
    else if (frame.len < 24 || frame.len - 24 != len || len > s.block_size || len == 0)
        error = BAD_LENGTH;
    else if (!checksum_fits(frame))
        error = BAD_CHECKSUM;
    else if (s.error)
        error = s.error;
    else if (number + 1 == s.expected)
        error = OK;
    else if (number != s.expected)
        error = BAD_BLOCK_SIZE;
    else if (s.compressed ? s.inflated : s.left == 0)
        error = s.error = TOO_MUCH;
    else
        due = 1;
    s.expected += due;
    reply(op, s.expected, NULL, 0, error);
    return due;
}

// The inflater asks for more than its block has: waits for the next. Another command ends the stream
// and is left for the main loop.
static int next_byte(void) {
    if (s.input_len == 0)
        slip_release();
    while (s.input_len == 0) {
        struct frame frame = host_wait();
        int is_request = slip_is_request(frame);
        if (is_request && frame.data[1] != FLASH_DEFL_DATA)
            return -1;
        if (is_request && accept(frame)) {
            s.input = frame.data + 24;
            s.input_len = load32(frame.data + 8);
        } else {
            slip_release();
        }
    }
    if (s.input_len-- % 8 == 0)
        host_poll();
    return *s.input++;
}

static void inflate_stream(void) {
    static const struct inflate_io IO = {next_byte, write, host_poll};
    switch (inflate(&IO)) {
    case INFLATE_DONE:
        s.inflated = 1;
        if (s.input_len > 0 && !s.error)
            s.error = TOO_MUCH;
        slip_release();
        break;
    case INFLATE_SHORT:  // its last slot is free already, the one that is held is not its own
        s.error = s.error ? s.error : TOO_LITTLE;
        break;
    default:
        s.error = s.error ? s.error : INFLATE_FAILED;
        slip_release();
        break;
    }
}

void write_data(struct frame frame) {
    int due = accept(frame);
    if (due && s.compressed) {
        s.input = frame.data + 24;
        s.input_len = load32(frame.data + 8);
        inflate_stream();
        return;
    }
    if (due) {
        // Hosts fill the last raw block up.
        uint32_t len = load32(frame.data + 8);
        write(frame.data + 24, len < s.left ? len : s.left);
    }
    slip_release();
}

struct answer write_end(int compressed) {
    uint16_t error = s.error;
    if (!s.active || s.compressed != compressed)
        error = NOT_BEGUN;
    else if (!error && s.left)
        error = TOO_LITTLE;
    s.active = 0;
    flash_settle();
    return (struct answer){0, error};
}
