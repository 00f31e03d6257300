// SPDX-License-Identifier: MIT OR Apache-2.0
// The USB-Serial/JTAG controller; nothing where the chip has none.
#pragma once
#include <stdint.h>

unsigned usb_jtag_waiting(void);  // 0: none
uint8_t usb_jtag_get(void);
int usb_jtag_has_room(void);
void usb_jtag_put(uint8_t byte);
void usb_jtag_flush(void);
