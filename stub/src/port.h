// SPDX-License-Identifier: MIT OR Apache-2.0
// Bytes from and to the host: UART0, and where the chip has it USB-Serial/JTAG.
#pragma once
#include <stdint.h>

enum port { PORT_UART, PORT_USB_JTAG };

// How many bytes wait there at least, and the next of them. (The count of the ESP32 need not be right
// just after a read, IDF's uart_ll.h says: what was counted is read before it is counted again.)
unsigned port_waiting(enum port port);
uint8_t port_get(enum port port);
// Waits until a byte is there, on any port. Nothing is stored meanwhile, not even on the stack: a
// simulator sees that this is waiting, and leads it past.
void port_wait(void);
// Waits for room.
void port_put(enum port port, uint8_t byte);
// Sends what is still held back; for the UART, waits until the last bit has left.
void port_flush(enum port port);
// The new rate follows from the divider in use and the rate that goes with it, so that neither the
// crystal nor the clock source need be known, and a divider that the ROM measured stays measured.
void port_set_baud(uint32_t baud, uint32_t old);
