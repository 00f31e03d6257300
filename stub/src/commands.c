// SPDX-License-Identifier: MIT OR Apache-2.0
#include "commands.h"
#include "errors.h"
#include "flash.h"
#include "host.h"
#include "io.h"
#include "md5.h"
#include "mem.h"
#include "plan.h"
#include "port.h"
#include "read.h"
#include "write.h"

extern uint8_t text_start[], text_end[], ram_start[], ram_end[];  // link.ld

static int checksum_fits(struct frame frame) {
    uint32_t sum = 0xef;
    for (size_t i = 24; i < frame.len; i++) {
        sum ^= frame.data[i];
        if (i % 128 == 0)
            host_poll();
    }
    return sum == (load32(frame.data + 4) & 0xff);
}

uint16_t check_block(struct frame frame, uint32_t expected) {
    if (frame.len < 24 || frame.len - 24 != load32(frame.data + 8))
        return BAD_LENGTH;
    if (!checksum_fits(frame))
        return BAD_CHECKSUM;
    uint32_t ahead = load32(frame.data + 12) - expected;
    return ahead == 0 ? DUE : ahead + 1 == 0 ? OK : BAD_BLOCK_SIZE;
}

static void open_reply(uint8_t op, uint32_t value, size_t len) {
    uint32_t head[2] = {1 | op << 8 | (len + 2) << 16, value};
    host_open();
    host_send(head, sizeof head);
}

static void close_reply(uint16_t error) {
    uint8_t status[2] = {error >> 8, error & 0xff};
    host_send(status, sizeof status);
    host_close();
}

void reply(uint8_t op, uint32_t value, const void *data, size_t len, uint16_t error) {
    open_reply(op, value, len);
    host_send(data, len);
    close_reply(error);
}

static struct {
    uint32_t address, left, expected;
} mem;

static int is_ours(uint32_t address, uint32_t len) {
    return address + len < address ||
           (address < (uintptr_t)text_end && address + len > (uintptr_t)text_start) ||
           (address < (uintptr_t)ram_end && address + len > (uintptr_t)ram_start);
}

static uint16_t mem_begin(const uint8_t *words, size_t len) {
    if (len != 16)
        return BAD_LENGTH;
    mem.left = load32(words);
    mem.address = load32(words + 12);
    mem.expected = 0;
    if (mem.address % 4 || is_ours(mem.address, mem.left)) {
        mem.left = 0;
        return BAD_LENGTH;
    }
    return OK;
}

static uint16_t mem_data(struct frame frame) {
    uint16_t error = check_block(frame, mem.expected);
    if (error != DUE)
        return error;
    uint32_t len = frame.len - 24;
    if (len > mem.left)
        return TOO_MUCH;
    // Instruction RAM of the Xtensa chips takes whole words only.
    if (len % 4)
        return BAD_LENGTH;
    for (uint32_t i = 0; i < len; i += 4, mem.address += 4)
        *reg(mem.address) = load32(frame.data + 24 + i);
    mem.left -= len;
    mem.expected++;
    return OK;
}

// Entries of address, value, mask and a delay in microseconds before the write.
static uint16_t write_regs(const uint8_t *words, size_t len) {
    if (len == 0 || len % 16)
        return BAD_LENGTH;
    for (; len; words += 16, len -= 16) {
        uint32_t address = load32(words), value = load32(words + 4), mask = load32(words + 8);
        wait_us(load32(words + 12));
        if (mask != 0xffffffff)
            value = (value & mask) | (*reg(address) & ~mask);
        *reg(address) = value;
    }
    return OK;
}

static void digest_map(uint32_t offset, uint32_t size) {
    open_reply(DIGEST_MAP, size / SECTOR, size / SECTOR * 4);
    for (; size; offset += SECTOR, size -= SECTOR) {
        uint8_t digest[16];
        read_digest(offset, SECTOR, digest);
        host_send(digest, 4);
    }
    close_reply(OK);
}

// What was latched from the boot pins at the last hard reset still holds: a chip that was brought into
// the ROM's loader is there again, and otherwise starts the program in flash.
static void reset_chip(void) {
    host_flush();
    *reg(RESET_REGISTER) |= RESET_BIT;
    for (;;)
        ;
}

#ifdef ROM_USER_CODE
_Noreturn void leave(void);  // entry.S
#endif

// What follows the ROM's loader: the program in flash. No answer is sent.
static void run_user_code(void) {
#ifdef ROM_USER_CODE
    // MEM_END has set this stub as what is to be started.
    static uint32_t NONE[6];
    host_flush();
    rom_call(ROM_SET_USER_START, NONE);
    leave();
#else
    reset_chip();
#endif
}

static uint16_t security_info(uint32_t info[5]) {
#ifdef ROM_SECURITY_INFO
    uint32_t function = ROM_SECURITY_INFO, args[6] = {0, 0, (uintptr_t)info};
#ifdef ROM_SECURITY_INFO_ECO7
    if (*reg(ROM_ECO) >= 7)
        function = ROM_SECURITY_INFO_ECO7;
#endif
    return rom_call(function, args) ? BAD_LENGTH : OK;
#else
    (void)info;
    return NOT_THERE;
#endif
}

// What comes behind the answer.
static void follow(uint8_t op, size_t len, uint32_t a, uint32_t b) {
    switch (op) {
    case MEM_END:
        if (a == 0 && b) {
            static uint32_t NONE[6];
            host_flush();
            rom_call(b, NONE);
        }
        break;
    case CHANGE_BAUDRATE:
        host_flush();
        port_set_baud(a, b);
        break;
    case FLASH_END:
    case FLASH_DEFL_END:  // 0: leave the stub
        if (len == 4 && a == 0)
            reset_chip();
        break;
    }
}

void command(struct frame frame) {
    static uint8_t negotiated;
    if (!slip_is_request(frame)) {
        slip_release();
        return;
    }
    uint8_t op = frame.data[1];
    const uint8_t *words = frame.data + 8;
    size_t len = frame.len - 8;
    uint32_t value = 0;
    uint16_t error = OK;
    uint32_t data[5];
    size_t data_len = data[0] = 0;
    uint32_t word[4] = {0};
    copy(word, words, len < sizeof word ? len : sizeof word);
    uint32_t a = word[0], b = word[1], c = word[2], d = word[3];

    switch (len == load32(frame.data) >> 16 ? op : RESPONSE) {
    case RESPONSE:  // not as long as it says
        error = BAD_LENGTH;
        break;
    case FLASH_DATA:
    case FLASH_DEFL_DATA:
    case FLASH_ENCRYPT_DATA:
        write_data(frame);
        return;
    case READ_FLASH:
        if (len != 16 || !flash_has(a, b) || c == 0 || c > SECTOR || d == 0 || d > 1024) {
            error = BAD_LENGTH;
            break;
        }
        slip_release();
        reply(op, 0, NULL, 0, OK);
        // Hosts of the base protocol ask for many packets at once and then do not keep up with them.
        read_stream(a, b, c, negotiated ? d : 1);
        return;
    case DIGEST_MAP:
        // The length of an answer has 16 bits.
        if (a % SECTOR || b % SECTOR || b / SECTOR > 16000 || !flash_has(a, b)) {
            error = BAD_LENGTH;
            break;
        }
        slip_release();
        digest_map(a, b);
        return;
    case SYNC:
        for (int i = 0; i < 7; i++)
            reply(op, 0, NULL, 0, OK);
        break;
    case SPI_FLASH_MD5:
        if (len < 8 || !flash_has(a, b)) {
            error = BAD_LENGTH;
            break;
        }
        if (!write_digest(a, b, (uint8_t *)data))
            read_digest(a, b, (uint8_t *)data);
        data_len = 16;
        break;
    case GET_SECURITY_INFO:
        error = security_info(data);
        data_len = error ? 0 : SECURITY_INFO_LEN;
        break;
    case RUN_USER_CODE:
        run_user_code();
        break;
    case CAPABILITIES:
        negotiated = 1;
        value = a & (CAN_DIGEST_MAP | CAN_SMALL_SLOTS | (FLASH_32BIT ? CAN_32BIT : 0));
        reply(op, value, NULL, 0, OK);
        slip_start(value & CAN_SMALL_SLOTS);
        return;
    case FLASH_BEGIN:
    case FLASH_DEFL_BEGIN:
        error = write_begin(words, len, op == FLASH_DEFL_BEGIN);
        break;
    case FLASH_END:
    case FLASH_DEFL_END:
        error = write_end(op == FLASH_DEFL_END);
        break;
    case MEM_BEGIN:
        error = mem_begin(words, len);
        break;
    case MEM_DATA:
        error = mem_data(frame);
        value = mem.expected;
        break;
    case MEM_END:
        error = mem.left ? TOO_LITTLE : OK;
        break;
    case WRITE_REG:
        write_forget();
        error = write_regs(words, len);
        break;
    case READ_REG:
        if (len == 4)
            value = *reg(a);
        else
            error = BAD_LENGTH;
        break;
    case SPI_SET_PARAMS:
        if (len != 24) {
            error = BAD_LENGTH;
            break;
        }
        flash_set_size(b);
#ifdef ROM_SET_PARAMS
        // Its encrypted writes ask for the size.
        rom_call(ROM_SET_PARAMS, (const uint32_t *)words);
#endif
        break;
    case SPI_ATTACH:
        flash_attach(a);
        break;
    case CHANGE_BAUDRATE:
        break;
    case ERASE_FLASH:
        write_forget();
        error = flash_erase_all();
        break;
    case ERASE_REGION:
        write_forget();
        error = a % SECTOR || b % SECTOR || !flash_has(a, b) ? BAD_LENGTH : flash_erase_range(a, a + b);
        break;
    default:
        error = BAD_COMMAND;
        break;
    }
    reply(op, value, data, data_len, error);
    slip_release();
    if (!error)
        follow(op, len, a, b);
}
