// SPDX-License-Identifier: MIT OR Apache-2.0
#include "flash.h"
#include "host.h"
#include "io.h"
#include "mem.h"
#include "plan.h"

#define USR_COMMAND (1u << 31)
#define USR_ADDR (1u << 30)
#define USR_MISO (1u << 28)
#define USR_MOSI (1u << 27)
#define CMD_USR (1u << 18)

#define WRITE_ENABLE 0x06
#define READ_STATUS 0x05
#define ERASE_CHIP 0xc7
#define BUSY 1u
#define PROTECTED 0x1cu  // BP0..BP2

// A command, and the same with an address of four bytes.
struct command {
    uint8_t near, far;
};
static const struct command READ = {0x03, 0x13}, PROGRAM = {0x02, 0x12}, ERASE_4K = {0x20, 0x21},
                            ERASE_32K = {0x52, 0x5c}, ERASE_64K = {0xd8, 0xdc};

// Polls of the status of which each takes more than a microsecond: no erase but that of the whole
// chip takes as long.
#define POLLS 20000000u

static uint32_t flash_size;

void flash_set_size(uint32_t size) { flash_size = size; }

int flash_has(uint32_t address, uint32_t len) {
    uint32_t end = flash_size ? flash_size : 0xffffffff;
    return address <= end && len <= end - address;
}

// The controller does the rest with what stands in its buffer.
static void transfer(uint8_t command, uint32_t usr, uint32_t address, unsigned address_bits, size_t out, size_t in) {
    uint32_t usr1 = address_bits ? (address_bits - 1) << 26 : 0;
#ifdef SPI_MOSI_DLEN
    *reg(SPI_MOSI_DLEN) = out ? out * 8 - 1 : 0;
    *reg(SPI_MISO_DLEN) = in ? in * 8 - 1 : 0;
#else
    usr1 |= (out ? out * 8 - 1 : 0) << 17 | (in ? in * 8 - 1 : 0) << 8;
#endif
    *reg(SPI_USR) = USR_COMMAND | usr | (out ? USR_MOSI : 0) | (in ? USR_MISO : 0);
    *reg(SPI_USR1) = usr1;
    *reg(SPI_USR2) = 7u << 28 | command;
#if SPI_ADDRESS_MSB
    if (address_bits == 24)
        address <<= 8;
#endif
    *reg(SPI_BASE + 4) = address;
    *reg(SPI_BASE) = CMD_USR;
    while (*reg(SPI_BASE) & CMD_USR)
        ;
}

static void simple(uint8_t command) { transfer(command, 0, 0, 0, 0, 0); }

static void addressed(struct command command, uint32_t address, size_t out, size_t in) {
#if FLASH_32BIT
    if (address >> 24) {
        transfer(command.far, USR_ADDR, address, 32, out, in);
        return;
    }
#endif
    transfer(command.near, USR_ADDR, address, 24, out, in);
}

static uint32_t status(void) {
    transfer(READ_STATUS, 0, 0, 0, 0, 1);
    return *reg(SPI_W0) & 0xff;
}

static enum flash_result settle(uint32_t polls) {
    while (status() & BUSY) {
        host_poll();
        if (polls-- == 0)
            return FLASH_FAILED;
    }
    return FLASH_OK;
}

void flash_read(uint32_t address, void *to, size_t len) {
    addressed(READ, address, 0, len);
    uint32_t words[FLASH_CHUNK / 4];
    for (unsigned i = 0; i < (len + 3) / 4; i++)
        words[i] = *reg(SPI_W0 + 4 * i);
    copy(to, words, len);
}

enum flash_result flash_program(uint32_t address, const uint8_t *data, size_t len) {
    while (len > 0) {
        // A chunk lies within one aligned piece of 64 bytes, and so within a page of 256.
        size_t part = FLASH_CHUNK - address % FLASH_CHUNK;
        if (part > len)
            part = len;
        uint32_t words[FLASH_CHUNK / 4], all = 0xffffffff;
        for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
            words[i] = 0xffffffff;
        copy(words, data, part);
        for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
            all &= words[i];
        if (all != 0xffffffff) {  // else it is what erased flash holds
            simple(WRITE_ENABLE);
            for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
                *reg(SPI_W0 + 4 * i) = words[i];
            addressed(PROGRAM, address, part, 0);
            if (settle(POLLS))
                return FLASH_FAILED;
        }
        host_poll();
        address += part;
        data += part;
        len -= part;
    }
    return FLASH_OK;
}

static int is_blank(uint32_t address, uint32_t len) {
    uint32_t words[FLASH_CHUNK / 4];
    for (; len > 0; address += FLASH_CHUNK, len -= FLASH_CHUNK) {
        flash_read(address, words, FLASH_CHUNK);
        for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
            if (words[i] != 0xffffffff)
                return 0;
        host_poll();
    }
    return 1;
}

enum flash_result flash_erase(uint32_t address, uint32_t unit) {
    if (is_blank(address, unit))
        return FLASH_OK;
    // Protection is not lifted here: which bits do that, and what else is in that register, depends
    // on the flash. The host has a command that knows them.
    if (status() & PROTECTED)
        return FLASH_LOCKED;
    simple(WRITE_ENABLE);
    addressed(unit == SECTOR ? ERASE_4K : unit == 0x8000 ? ERASE_32K : ERASE_64K, address, 0, 0);
    return settle(POLLS);
}

enum flash_result flash_erase_range(uint32_t address, uint32_t end) {
    while (address < end) {
        uint32_t unit = erase_unit(address, end);
        enum flash_result result = flash_erase(address, unit);
        if (result)
            return result;
        address += unit;
    }
    return FLASH_OK;
}

enum flash_result flash_erase_all(void) {
    if (status() & PROTECTED)
        return FLASH_LOCKED;
    simple(WRITE_ENABLE);
    simple(ERASE_CHIP);
    return settle(0xffffffff);
}
