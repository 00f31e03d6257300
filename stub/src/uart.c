// SPDX-License-Identifier: MIT OR Apache-2.0
#include "io.h"
#include "port.h"
#include "usb_jtag.h"

#define UART_STATUS (UART_BASE + 0x1c)
#define UART_CLKDIV (UART_BASE + 0x14)
#define TX_FIFO 128u

void wait_us(uint32_t us) {
    while (us--)
        for (volatile uint32_t turns = 134; turns; turns--)
            ;
}

static void uart_put(uint8_t byte) {
    while ((*reg(UART_STATUS) >> 16 & 0xff) >= TX_FIFO - 2)
        ;
    *reg(UART_FIFO_WRITE) = byte;
    ordered();
}

static void uart_flush(void) {
    while (*reg(UART_STATUS) >> 16 & 0xff)
        ;
    wait_us(200);  // the byte in the shift register, down to 57600 baud
}

void port_set_baud(uint32_t baud, uint32_t old) {
    // Beyond these, the sums below would not fit.
    if (baud < 300 || old < 300 || baud > 1u << 27 || old > 1u << 27)
        return;
    uint32_t now = *reg(UART_CLKDIV);
    // In sixteenths. The ESP8266 has no fraction, and nothing in those bits.
    uint32_t divider = (now & 0xfffff) << 4 | (now >> 20 & 15);
    // divider * old / baud, bit by bit: there is no library here that divides, or multiplies to 64 bits.
    uint32_t quotient = 0, rest = 0;
    for (uint32_t bit = 1u << 23; bit; bit >>= 1) {
        quotient *= 2;
        rest = 2 * rest + (divider & bit ? old : 0);
        for (; rest >= baud; rest -= baud)
            quotient++;
    }
    if (2 * rest >= baud)
        quotient++;
    *reg(UART_CLKDIV) = (now & 0xff000000) | (quotient & 15) << 20 | (quotient >> 4 & 0xfffff);
#ifdef UART_UPDATE
    *reg(UART_UPDATE) = 1;  // takes the divider over into the UART's own clock domain
    while (*reg(UART_UPDATE) & 1)
        ;
#endif
}

unsigned port_waiting(enum port port) {
    // The count of newer chips has ten bits, but never more than 128 in the FIFO.
    return port == PORT_UART ? *reg(UART_STATUS) & 0xff : usb_jtag_waiting();
}

uint8_t port_get(enum port port) { return port == PORT_UART ? *reg(UART_FIFO_READ) : usb_jtag_get(); }

__attribute__((noinline)) void port_wait(void) {
    while (!(*reg(UART_STATUS) & 0xff) && !usb_jtag_waiting())
        ;
}

void port_put(enum port port, uint8_t byte) {
    if (port == PORT_UART)
        uart_put(byte);
    else
        usb_jtag_put(byte);
}

void port_flush(enum port port) {
    if (port == PORT_UART)
        uart_flush();
    else
        usb_jtag_flush();
}
