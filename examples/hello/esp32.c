/* ESP32. Sources of addresses and bits: ESP32 Technical Reference Manual, chapters UART Controller
 * and Watchdog Timers; ESP-IDF's uart_reg.h, timer_group_reg.h, rtc_cntl_reg.h; ESP32 errata. */

#include "chip.h"

/* Bytes go out through the FIFO's address on the AHB bus: of two writes in a row to one address on
 * the other bus one may be lost (errata). */
#define UART0_FIFO_AHB 0x60000000
#define UART0_STATUS 0x3FF4001C /* bits 16 to 23: bytes waiting to be sent */
#define UART_FIFO_LENGTH 128

#define TIMG0_WDTCONFIG0 0x3FF5F048
#define TIMG0_WDTWPROTECT 0x3FF5F064
#define RTC_WDTCONFIG0 0x3FF4808C
#define RTC_WDTWPROTECT 0x3FF480A4
#define WDT_KEY 0x50D83AA1

const char chip_name[] = "ESP32";

/* The CPU's cycles. The ROM starts programs at the speed of the crystal, which is 40 MHz on nearly
 * all boards. */
const uint32_t chip_ticks_per_second = 40000000;

void chip_stop_watchdogs(void)
{
    *reg(TIMG0_WDTWPROTECT) = WDT_KEY;
    *reg(TIMG0_WDTCONFIG0) = 0; /* not enabled, not in flash boot mode */
    *reg(TIMG0_WDTWPROTECT) = 0;

    *reg(RTC_WDTWPROTECT) = WDT_KEY;
    *reg(RTC_WDTCONFIG0) = 0;
    *reg(RTC_WDTWPROTECT) = 0;
}

void chip_put(char c)
{
    while (((*reg(UART0_STATUS) >> 16) & 0xFF) >= UART_FIFO_LENGTH - 2) {
    }
    *reg(UART0_FIFO_AHB) = (uint8_t)c;
}

uint32_t chip_ticks(void)
{
    uint32_t cycles;

    __asm__ volatile("rsr %0, ccount" : "=r"(cycles));
    return cycles;
}
