// SPDX-License-Identifier: MIT OR Apache-2.0
#include "slip.h"
#include "port.h"

#define END 0xc0
#define ESC 0xdb
#define ESC_END 0xdc
#define ESC_ESC 0xdd

static struct {
    unsigned slots, size;
    unsigned first, held;  // complete frames, the oldest first; the one being received follows them
    size_t lens[SLOTS_MAX];
    unsigned ports[SLOTS_MAX];
    uint8_t *start, *at;  // of the frame being received: its beginning, and where the next byte goes
    unsigned port;
    uint8_t open, escaped, spoilt;
    uint8_t memory[SLOT_MEMORY] __attribute__((aligned(4)));
} s;

static void begin_frame(void) {
    s.start = s.at = s.memory + ((s.first + s.held) & (s.slots - 1)) * s.size;
    s.escaped = s.spoilt = 0;
}

void slip_start(int small) {
    s.slots = small ? 8 : 2;  // powers of two: nothing here divides
    s.size = small ? SLOT_MEMORY / 8 : SLOT_MEMORY / 2;
    s.first = s.held = s.open = 0;
    begin_frame();
}

int slip_is_full(void) { return s.held == s.slots; }

// A byte that is not merely the next one of its frame.
static void take(unsigned port, uint8_t byte) {
    if (byte == END) {
        // What ends one frame begins the next: noise between two costs neither of them.
        if (s.open && s.at > s.start && !s.spoilt && !s.escaped && s.port == port) {
            unsigned slot = (s.first + s.held++) & (s.slots - 1);
            s.lens[slot] = s.at - s.start;
            s.ports[slot] = port;
        }
        s.open = 1;
        s.port = port;
        begin_frame();
        return;
    }
    if (!s.open || s.port != port)
        return;
    if (s.escaped) {
        s.escaped = 0;
        if (byte == ESC_END)
            byte = END;
        else if (byte == ESC_ESC)
            byte = ESC;
        else
            s.spoilt = 1;
    } else if (byte == ESC) {
        s.escaped = 1;
        return;
    }
    if (s.at == s.start + s.size)
        s.spoilt = 1;
    else
        *s.at++ = byte;
}

// How far bytes of a port can be stored one behind the other.
static uint8_t *plain_end(unsigned port) {
    return s.open && s.port == port && !s.escaped && !s.spoilt ? s.start + s.size : s.at;
}

void slip_receive(unsigned port, unsigned count) {
    if (slip_is_full())
        return;
    uint8_t *at = s.at, *end = plain_end(port);
    while (count--) {
        uint8_t byte = port_get(port);
        if (at != end && byte != END && byte != ESC) {
            *at++ = byte;
            continue;
        }
        s.at = at;
        take(port, byte);
        if (slip_is_full())
            return;
        at = s.at;
        end = plain_end(port);
    }
    s.at = at;
}

struct frame slip_frame(void) {
    if (s.held == 0)
        return (struct frame){0};
    return (struct frame){s.memory + s.first * s.size, s.lens[s.first], s.ports[s.first]};
}

void slip_release(void) {
    s.first = (s.first + 1) & (s.slots - 1);
    s.held--;
}
