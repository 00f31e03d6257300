// SPDX-License-Identifier: MIT OR Apache-2.0
#include "host.h"
#include "chip.h"
#include "port.h"
#include "usb_jtag.h"
#include "write.h"

static enum port reply_port;
static uint8_t unheard;  // USB-Serial/JTAG has not been greeted yet

#ifdef USB_JTAG_BASE
#define PORTS 2
#else
#define PORTS 1
#endif

void host_poll(void) {
    for (enum port port = PORT_UART; port < PORTS; port++)
        for (unsigned waiting; !slip_is_full() && (waiting = port_waiting(port));)
            slip_receive(port, waiting);
}

static void send(uint8_t byte) {
    if (byte == 0xc0 || byte == 0xdb) {
        port_put(reply_port, 0xdb);
        byte = byte == 0xc0 ? 0xdc : 0xdd;
    }
    port_put(reply_port, byte);
    host_poll();
}

void host_open(void) { port_put(reply_port, 0xc0); }

void host_send(const void *data, size_t len) {
    for (const uint8_t *bytes = data; len--;)
        send(*bytes++);
}

void host_close(void) {
    port_put(reply_port, 0xc0);
    if (reply_port == PORT_USB_JTAG)
        port_flush(reply_port);
}

static void greet(enum port port) {
    reply_port = port;
    host_open();
    host_send("OHAI", 4);
    host_close();
}

struct frame host_wait(void) {
    for (;;) {
        host_poll();
        struct frame frame = slip_frame();
        if (frame.data) {
            unheard = 0;
            reply_port = frame.port;
            return frame;
        }
        // Nobody may be listening there, so that room never comes.
        if (unheard && usb_jtag_has_room()) {
            greet(PORT_USB_JTAG);
            unheard = 0;
        }
        if (!write_ahead() && !unheard)
            port_wait();
    }
}

void host_greet(void) {
    unheard = 1;
    greet(PORT_UART);
}

void host_flush(void) { port_flush(reply_port); }
