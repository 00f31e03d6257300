// SPDX-License-Identifier: MIT OR Apache-2.0
// The flasher stub: greets, then does what it is asked for, for ever. entry.S has set the stack and
// cleared .bss; interrupts are off, everything is polled.
#include "commands.h"
#include "host.h"
#include "io.h"

// Chips whose watchdogs the ROM leaves on would be reset in the middle of an erase.
static void stop_watchdogs(void) {
#ifdef WDT_CONFIG0
    *reg(WDT_PROTECT) = WDT_KEY;
    *reg(WDT_CONFIG0) = 0;
    *reg(WDT_PROTECT) = 0;
#endif
#ifdef SWD_CONFIG
    *reg(SWD_PROTECT) = SWD_KEY;
    *reg(SWD_CONFIG) |= 1u << SWD_AUTO_FEED;
    *reg(SWD_PROTECT) = 0;
#endif
}

// The pads of the flash differ with chip, package and eFuse, and the ROM knows them: this is the one
// call of it (esp_rom_spiflash_attach and ets_efuse_get_spiconfig in ESP-IDF's
// components/esp_rom/*/ld; the pads' words are those that the ROM's own SPI_ATTACH command takes).
// The Xtensa ROMs have windowed code, which this stub cannot call: there the host sends SPI_ATTACH
// to the ROM before it uploads the stub.
static void attach_flash(void) {
#ifdef ROM_ATTACH
    uint32_t pads = 0;
#ifdef ROM_SPI_CONFIG
    pads = ((uint32_t(*)(void))ROM_SPI_CONFIG)();
#endif
    ((void (*)(uint32_t, int))ROM_ATTACH)(pads, 0);
#endif
}

void stub_main(void) {
    stop_watchdogs();
    attach_flash();
    slip_start(0);
    host_greet();
    for (;;)
        command(host_wait());
}

// The compiler calls these two by itself.
__attribute__((used)) void *memcpy(void *to, const void *from, size_t len) {
    volatile uint8_t *out = to;
    const uint8_t *in = from;
    while (len--)
        *out++ = *in++;
    return to;
}

__attribute__((used)) void *memset(void *to, int value, size_t len) {
    volatile uint8_t *out = to;
    while (len--)
        *out++ = value;
    return to;
}
