// SPDX-License-Identifier: MIT OR Apache-2.0
// The stub's commands over standard input and output, with a NOR flash of 1 MB in memory in place of
// the controller: programming clears bits, erasing takes whole units. For `drive.py`.
#include "../src/commands.h"
#include "../src/flash.h"
#include "../src/host.h"
#include "../src/io.h"
#include "../src/plan.h"
#include "../src/port.h"
#include "../src/usb_jtag.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

static uint8_t flash[(1 << 20) + FLASH_CHUNK];  // a chunk may reach over the end
static uint32_t limit;
uint8_t text_start[1], text_end[1], ram_start[1], ram_end[1];

unsigned port_waiting(enum port port) {
    struct pollfd ready = {0, POLLIN, 0};
    return port == PORT_UART && poll(&ready, 1, 0) > 0;
}
void port_wait(void) {
    struct pollfd ready = {0, POLLIN, 0};
    poll(&ready, 1, -1);
}
uint8_t port_get(enum port port) {
    uint8_t byte;
    if (port != PORT_UART || read(0, &byte, 1) != 1)
        exit(0);
    return byte;
}
void port_put(enum port port, uint8_t byte) {
    if (port == PORT_UART && write(1, &byte, 1) != 1)
        exit(1);
}
void port_flush(enum port port) { (void)port; }
int usb_jtag_has_room(void) { return 0; }
void port_set_baud(uint32_t baud, uint32_t old) { (void)baud; (void)old; }
void wait_us(uint32_t us) { (void)us; }

void flash_set_size(uint32_t size) { limit = size; }
int flash_has(uint32_t address, uint32_t len) {
    uint32_t end = limit ? limit : 1 << 20;
    return address <= end && len <= end - address;
}
void flash_read(uint32_t address, uint32_t to[FLASH_CHUNK / 4], size_t len) { memcpy(to, flash + address, len < FLASH_CHUNK ? len : FLASH_CHUNK); }
static uint32_t reading;
void flash_read_begin(uint32_t address, size_t len) {
    (void)len;
    reading = address;
}
void flash_read_end(uint32_t to[FLASH_CHUNK / 4]) { memcpy(to, flash + reading, FLASH_CHUNK); }
void flash_attach(uint32_t pads) { (void)pads; }
int flash_is_locked(void) { return 0; }
int flash_is_busy(void) { return 0; }
void flash_settle(void) {}
enum flash_result flash_program(uint32_t address, const uint8_t *data, size_t len, int encrypted) {
    (void)encrypted;
    host_poll();
    for (size_t i = 0; i < len; i++)
        flash[address + i] &= data[i];
    return FLASH_OK;
}
enum flash_result flash_erase(uint32_t address, uint32_t unit) {
    if (address % unit)
        return FLASH_FAILED;
    host_poll();
    memset(flash + address, 0xff, unit);
    return FLASH_OK;
}
enum flash_result flash_erase_range(uint32_t address, uint32_t end) {
    for (uint32_t unit; address < end; address += unit)
        flash_erase(address, unit = erase_unit(address, end));
    return FLASH_OK;
}
enum flash_result flash_erase_all(void) { return flash_erase_range(0, 1 << 20); }

int main(void) {
    memset(flash, 0x5a, sizeof flash);
    slip_start(0);
    host_greet();
    for (;;)
        command(host_wait());
}
