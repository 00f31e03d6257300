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

static uint32_t flash_size;

// The base out of the compiler's sight, so that one register holds it and no literal is needed for
// each address.
static volatile uint32_t *spi(void) {
    uint32_t base = SPI_BASE;
    __asm__("" : "+r"(base));
    return reg(base);
}

// The pads of the flash differ with chip, package and eFuse, and the ROM knows them.
void flash_attach(uint32_t pads) {
#ifdef ROM_ATTACH
    uint32_t args[6] = {0};
#ifdef ROM_SELECT_PADS
    rom_call(ROM_SELECT_PADS, args);
#endif
#ifdef ROM_SPI_CONFIG
    if (!pads)
        pads = rom_call(ROM_SPI_CONFIG, args);
#endif
    args[0] = pads;
    rom_call(ROM_ATTACH, args);
#else
    (void)pads;
#endif
}

void flash_set_size(uint32_t size) { flash_size = size; }

int flash_has(uint32_t address, uint32_t len) {
    uint32_t end = flash_size ? flash_size : 0xffffffff;
    return address <= end && len <= end - address;
}

// The controller does the rest with what stands in its buffer.
static void transfer(uint8_t command, uint32_t usr, uint32_t address, unsigned address_bits, size_t out, size_t in) {
    volatile uint32_t *spi1 = spi();
    uint32_t usr1 = address_bits ? (address_bits - 1) << 26 : 0;
    uint32_t out_bits = out ? out * 8 - 1 : 0, in_bits = in ? in * 8 - 1 : 0;
#ifdef SPI_MOSI_DLEN
    spi1[SPI_MOSI_DLEN / 4] = out_bits;
    spi1[SPI_MISO_DLEN / 4] = in_bits;
#else
    usr1 |= out_bits << 17 | in_bits << 8;
#endif
    spi1[SPI_USR / 4] = USR_COMMAND | usr | (out ? USR_MOSI : 0) | (in ? USR_MISO : 0);
    spi1[SPI_USR1 / 4] = usr1;
    spi1[SPI_USR2 / 4] = 7u << 28 | command;
#if SPI_ADDRESS_MSB
    if (address_bits == 24)
        address <<= 8;
#endif
    spi1[1] = address;
    spi1[0] = CMD_USR;
    while (spi1[0] & CMD_USR)
        ;
}

static void simple(uint8_t command) { transfer(command, 0, 0, 0, 0, 0); }

static void addressed(struct command command, uint32_t address, size_t out, size_t in) {
#if FLASH_32BIT
    // The last byte counts: a read may reach over the boundary.
    if ((address + (in ? in - 1 : 0)) >> 24) {
        transfer(command.far, USR_ADDR, address, 32, out, in);
        return;
    }
#endif
    transfer(command.near, USR_ADDR, address, 24, out, in);
}

static uint32_t status(void) {
    transfer(READ_STATUS, 0, 0, 0, 0, 1);
    return spi()[SPI_W0 / 4] & 0xff;
}

// A program or an erase has been started and not yet been seen to end: what comes next waits for it,
// and until then the CPU has other things to do.
static uint8_t working;

int flash_is_busy(void) {
    if (working) {
        uint32_t now = status();
        working = now & BUSY && now != 0xff;  // all ones: nobody drives the line
    }
    return working;
}

void flash_settle(void) {
    while (flash_is_busy())
        host_poll();
}

int flash_is_locked(void) { return status() & PROTECTED; }

void flash_read(uint32_t address, uint32_t to[FLASH_CHUNK / 4], size_t len) {
    flash_settle();
    addressed(READ, address, 0, len);
    volatile uint32_t *w = spi() + SPI_W0 / 4;
    for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
        to[i] = w[i];
}

static void program_chunk(uint32_t address, const uint8_t *data, size_t len) {
    uint32_t words[FLASH_CHUNK / 4], all = 0xffffffff;
    for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
        words[i] = 0xffffffff;
    copy(words, data, len);
    for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
        all &= words[i];
    if (all == 0xffffffff)
        return;  // what erased flash holds
    flash_settle();
    simple(WRITE_ENABLE);
    volatile uint32_t *w = spi() + SPI_W0 / 4;
    for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
        w[i] = words[i];
    addressed(PROGRAM, address, len, 0);
    working = 1;
}

enum flash_result flash_program(uint32_t address, const uint8_t *data, size_t len, int encrypted) {
    while (len > 0) {
        // A chunk lies within one aligned piece of 64 bytes, and so within a page of 256.
        size_t part = FLASH_CHUNK - address % FLASH_CHUNK;
        if (part > len)
            part = len;
        if (!encrypted)
            program_chunk(address, data, part);
#ifdef ROM_WRITE_ENCRYPTED
        else {
            uint32_t args[6] = {address, (uintptr_t)data, part};
            flash_settle();
            if (rom_call(ROM_WRITE_ENCRYPTED, args))
                return FLASH_FAILED;
        }
#endif
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
    if (flash_is_locked())
        return FLASH_LOCKED;
    simple(WRITE_ENABLE);
    addressed(unit == SECTOR ? ERASE_4K : unit == 0x8000 ? ERASE_32K : ERASE_64K, address, 0, 0);
    working = 1;
    return FLASH_OK;
}

enum flash_result flash_erase_range(uint32_t address, uint32_t end) {
    while (address < end) {
        uint32_t unit = erase_unit(address, end);
        enum flash_result result = flash_erase(address, unit);
        if (result)
            return result;
        address += unit;
    }
    flash_settle();
    return FLASH_OK;
}

enum flash_result flash_erase_all(void) {
    flash_settle();
    if (flash_is_locked())
        return FLASH_LOCKED;
    simple(WRITE_ENABLE);
    simple(ERASE_CHIP);
    working = 1;
    flash_settle();
    return FLASH_OK;
}
