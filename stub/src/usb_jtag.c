// SPDX-License-Identifier: MIT OR Apache-2.0
#include "usb_jtag.h"
#include "io.h"

#ifdef USB_JTAG_BASE

#define EP1 (USB_JTAG_BASE + 0)
#define EP1_CONF (USB_JTAG_BASE + 4)
#define WR_DONE 1u
#define IN_FREE 2u
#define OUT_AVAILABLE_BIT 2

unsigned usb_jtag_waiting(void) { return *reg(EP1_CONF) >> OUT_AVAILABLE_BIT & 1; }
uint8_t usb_jtag_get(void) { return *reg(EP1); }

int usb_jtag_has_room(void) { return *reg(EP1_CONF) & IN_FREE; }

// A FIFO of 64 bytes leaves by itself when it is full.
void usb_jtag_put(uint8_t byte) {
    while (!usb_jtag_has_room())
        ;
    *reg(EP1) = byte;
    ordered();
}

void usb_jtag_flush(void) { *reg(EP1_CONF) = WR_DONE; }

#else

unsigned usb_jtag_waiting(void) { return 0; }
uint8_t usb_jtag_get(void) { return 0; }
int usb_jtag_has_room(void) { return 0; }
void usb_jtag_put(uint8_t byte) { (void)byte; }
void usb_jtag_flush(void) {}

#endif
