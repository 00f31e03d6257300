/* ESP32-C3. Sources of addresses and bits: ESP32-C3 Technical Reference Manual, chapters UART
 * Controller, USB Serial/JTAG Controller, System Timer, Watchdog Timers; ESP-IDF's uart_reg.h,
 * usb_serial_jtag_reg.h, systimer_reg.h, timer_group_reg.h, rtc_cntl_reg.h. */

#include "chip.h"

#define UART0_FIFO 0x60000000
#define UART0_STATUS 0x6000001C /* bits 16 to 25: bytes waiting to be sent */
#define UART_FIFO_LENGTH 128

#define USB_SERIAL_JTAG_EP1 0x60043000
#define USB_SERIAL_JTAG_EP1_CONF 0x60043004
#define USB_WR_DONE (1u << 0)
#define USB_IN_DATA_FREE (1u << 1)

#define SYSTIMER_UNIT0_OP 0x60023004
#define SYSTIMER_UNIT0_VALUE_LO 0x60023044
#define SYSTIMER_UPDATE (1u << 30)
#define SYSTIMER_VALID (1u << 29)

#define TIMG0_WDTCONFIG0 0x6001F048
#define TIMG0_WDTWPROTECT 0x6001F064
#define TIMG_WDT_CONF_UPDATE (1u << 22)
#define RTC_WDTCONFIG0 0x60008090
#define RTC_WDTWPROTECT 0x600080A8
#define RTC_SWD_CONF 0x600080AC
#define RTC_SWD_WPROTECT 0x600080B0
#define RTC_SWD_AUTO_FEED (1u << 31)
#define WDT_KEY 0x50D83AA1
#define SWD_KEY 0x8F1D312A

const char chip_name[] = "ESP32-C3";

/* The system timer counts at 16 MHz, whatever the clock of the CPU. */
const uint32_t chip_ticks_per_second = 16000000;

void chip_stop_watchdogs(void)
{
    *reg(TIMG0_WDTWPROTECT) = WDT_KEY;
    *reg(TIMG0_WDTCONFIG0) = TIMG_WDT_CONF_UPDATE; /* not enabled, not in flash boot mode */
    *reg(TIMG0_WDTWPROTECT) = 0;

    *reg(RTC_WDTWPROTECT) = WDT_KEY;
    *reg(RTC_WDTCONFIG0) = 0;
    *reg(RTC_WDTWPROTECT) = 0;

    /* The super watchdog cannot be stopped for good, but it can feed itself. */
    *reg(RTC_SWD_WPROTECT) = SWD_KEY;
    *reg(RTC_SWD_CONF) |= RTC_SWD_AUTO_FEED;
    *reg(RTC_SWD_WPROTECT) = 0;
}

static void put_uart(char c)
{
    while (((*reg(UART0_STATUS) >> 16) & 0x3FF) >= UART_FIFO_LENGTH - 2) {
    }
    *reg(UART0_FIFO) = (uint8_t)c;
}

/* Many boards have no other port than the chip's own USB. When nobody listens there its buffer
 * stays full: wait 20 ms once, then drop what does not fit until there is room again. */
static void put_usb(char c)
{
    static int listened = 1;
    uint32_t start = chip_ticks();

    while (!(*reg(USB_SERIAL_JTAG_EP1_CONF) & USB_IN_DATA_FREE)) {
        if (!listened || chip_ticks() - start > chip_ticks_per_second / 50) {
            listened = 0;
            return;
        }
    }
    listened = 1;
    *reg(USB_SERIAL_JTAG_EP1) = (uint8_t)c;
    if (c == '\n') {
        *reg(USB_SERIAL_JTAG_EP1_CONF) = USB_WR_DONE; /* send what is there */
    }
}

void chip_put(char c)
{
    put_uart(c);
    put_usb(c);
}

uint32_t chip_ticks(void)
{
    *reg(SYSTIMER_UNIT0_OP) = SYSTIMER_UPDATE;
    while (!(*reg(SYSTIMER_UNIT0_OP) & SYSTIMER_VALID)) {
    }
    return *reg(SYSTIMER_UNIT0_VALUE_LO);
}
