// SPDX-License-Identifier: MIT OR Apache-2.0
// The flasher stub: greets, then does what it is asked for, for ever. entry.S has set the stack and
// cleared .bss; interrupts are off, everything is polled.
#include "commands.h"
#include "flash.h"
#include "host.h"
#include "io.h"

// Chips whose watchdogs the ROM leaves on would be reset in the middle of an erase.
static void stop_watchdogs(void) {
#ifdef WDT_CONFIG0
    uint32_t base = WDT_CONFIG0;
    __asm__("" : "+r"(base));  // one register for the base of all
#define WDT(address) (*reg(base + (address - WDT_CONFIG0)))
    WDT(WDT_PROTECT) = WDT_KEY;
    WDT(WDT_CONFIG0) = 0;
#ifdef SWD_CONFIG
    WDT(SWD_PROTECT) = SWD_KEY;
    WDT(SWD_CONFIG) |= 1u << SWD_AUTO_FEED;
#endif
#endif
}

void stub_main(void) {
    stop_watchdogs();
    flash_attach(0);
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
