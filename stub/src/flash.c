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

// A command, and above it the same with an address of four bytes.
#define READ 0x1303u
#define PROGRAM 0x1202u
#define ERASE_4K 0x2120u
#define ERASE_32K 0x52u
#define ERASE_64K 0xdcd8u

static uint32_t flash_size;  // 0: not known

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
    uint32_t end = flash_size ? flash_size : -SECTOR;
    return address <= end && len <= end - address;
}

// The controller does the rest with what stands in its buffer.
static void begin(uint32_t usr, uint32_t command, uint32_t address, size_t out, size_t in) {
    volatile uint32_t *spi1 = spi();
    uint32_t usr1 = 23u << 26, out_bits = out * 8 - 1, in_bits = in * 8 - 1;
#if FLASH_32BIT
    // The last byte counts: a read may reach over the boundary.
    if ((address + in - (in != 0)) >> 24) {
        command >>= 8;
        usr1 = 31u << 26;
    }
#endif
    if (out)
        usr |= USR_MOSI;
    if (in)
        usr |= USR_MISO;
#ifdef SPI_MOSI_DLEN
    spi1[SPI_MOSI_DLEN / 4] = out_bits;
    spi1[SPI_MISO_DLEN / 4] = in_bits;
#else
    usr1 |= (out_bits & 0x1ff) << 17 | (in_bits & 0x1ff) << 8;
#endif
    spi1[SPI_USR / 4] = usr;
    spi1[SPI_USR1 / 4] = usr1;
    spi1[SPI_USR2 / 4] = 7u << 28 | (command & 0xff);
#if SPI_ADDRESS_MSB
    if (usr1 < 31u << 26)
        address <<= 8;
#endif
    spi1[1] = address;
    spi1[0] = CMD_USR;
}

static void finish(void) {
    while (*spi() & CMD_USR)
        ;
}

static void simple(uint8_t command, size_t in) {
    begin(USR_COMMAND, command, 0, 0, in);
    finish();
}

static uint32_t status(void) {
    simple(READ_STATUS, 1);
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

void flash_read_begin(uint32_t address, size_t len) {
    flash_settle();
    begin(USR_COMMAND | USR_ADDR, READ, address, 0, len < FLASH_CHUNK ? len : FLASH_CHUNK);
}

void flash_read_end(uint32_t to[FLASH_CHUNK / 4]) {
    finish();
    volatile uint32_t *w = spi() + SPI_W0 / 4;
    for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
        to[i] = w[i];
}

void flash_read(uint32_t address, uint32_t to[FLASH_CHUNK / 4], size_t len) {
    flash_read_begin(address, len);
    flash_read_end(to);
}

// Chip select stays low from one USER command to the next, so that several fill a page.
static void hold(int on) {
#ifdef SPI_HOLD_BIT
    if (on)
        spi()[SPI_MISC / 4] |= SPI_HOLD_BIT;
    else
        spi()[SPI_MISC / 4] &= ~SPI_HOLD_BIT;
#else
    (void)on;
#endif
}

static int is_blank_chunk(const uint32_t *words) {
    uint32_t all = 0xffffffff;
    for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
        all &= words[i];
    return all == 0xffffffff;
}

// Chunks that lie within one page, with one command: a page at once takes half the time of its parts.
static void program_chunks(uint32_t address, const uint32_t *words, unsigned chunks) {
    flash_settle();
    simple(WRITE_ENABLE, 0);
    volatile uint32_t *w = spi() + SPI_W0 / 4;
    for (int first = 1; chunks--; first = 0) {
        for (unsigned i = 0; i < FLASH_CHUNK / 4; i++)
            w[i] = *words++;
        hold(chunks != 0);
        begin(first ? USR_COMMAND | USR_ADDR : 0, PROGRAM, address, FLASH_CHUNK, 0);
        finish();
    }
    working = 1;
}

// What lies beside the data is ones, which program nothing.
static void program_page(uint32_t address, const uint8_t *data, size_t len) {
    static uint32_t page[FLASH_PAGE / 4];
    size_t before = address % FLASH_CHUNK;
    for (unsigned i = 0; i < FLASH_PAGE / 4; i++)
        page[i] = 0xffffffff;
    copy((uint8_t *)page + before, data, len);
    unsigned chunks = (before + len + FLASH_CHUNK - 1) / FLASH_CHUNK;
    while (chunks && is_blank_chunk(page + (chunks - 1) * (FLASH_CHUNK / 4)))
        chunks--;
    if (chunks)
        program_chunks(address - before, page, chunks);
}

enum flash_result flash_program(uint32_t address, const uint8_t *data, size_t len, int encrypted) {
    if (!encrypted)
        program_page(address, data, len);
#ifdef ROM_WRITE_ENCRYPTED
    else {
        uint32_t args[6] = {address, (uintptr_t)data, len};
        flash_settle();
        if (rom_call(ROM_WRITE_ENCRYPTED, args))
            return FLASH_FAILED;
    }
#endif
    return FLASH_OK;
}

static int is_blank(uint32_t address, uint32_t len) {
    uint32_t words[FLASH_CHUNK / 4];
    for (; len > 0; address += FLASH_CHUNK, len -= FLASH_CHUNK) {
        flash_read(address, words, FLASH_CHUNK);
        if (!is_blank_chunk(words))
            return 0;
        host_poll();
    }
    return 1;
}

enum flash_result flash_erase(uint32_t address, uint32_t unit) {
    // Protection is not lifted here: which bits do that, and what else is in that register, depends
    // on the flash. The host has a command that knows them.
    flash_settle();
    if (flash_is_locked())
        return FLASH_LOCKED;
    if (is_blank(address, unit))
        return FLASH_OK;
    simple(WRITE_ENABLE, 0);
    begin(USR_COMMAND | USR_ADDR, unit >> 16 ? ERASE_64K : unit >> 15 ? ERASE_32K : ERASE_4K, address, 0, 0);
    finish();
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
    simple(WRITE_ENABLE, 0);
    simple(ERASE_CHIP, 0);
    working = 1;
    flash_settle();
    return FLASH_OK;
}
