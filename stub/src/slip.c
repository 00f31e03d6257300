// SPDX-License-Identifier: MIT OR Apache-2.0
#include "slip.h"

#define END 0xc0
#define ESC 0xdb
#define ESC_END 0xdc
#define ESC_ESC 0xdd

static struct {
    unsigned slots, size;
    unsigned first, held;  // complete frames, the oldest first; the one being received follows them
    size_t lens[SLOTS_MAX];
    unsigned ports[SLOTS_MAX];
    size_t len;
    unsigned port;
    uint8_t open, escaped, spoilt;
    uint8_t memory[SLOT_MEMORY] __attribute__((aligned(4)));
} s;

void slip_start(int small) {
    s.slots = small ? 8 : 2;  // powers of two: nothing here divides
    s.size = small ? SLOT_MEMORY / 8 : SLOT_MEMORY / 2;
    s.first = s.held = s.len = 0;
    s.open = s.escaped = s.spoilt = 0;
}

int slip_is_full(void) { return s.held == s.slots; }

int slip_take(unsigned port, uint8_t byte) {
    if (slip_is_full())
        return 1;
    unsigned slot = (s.first + s.held) & (s.slots - 1);
    if (byte == END) {
        // What ends one frame begins the next: noise between two costs neither of them.
        if (s.open && s.len > 0 && !s.spoilt && !s.escaped && s.port == port) {
            s.lens[slot] = s.len;
            s.ports[slot] = port;
            s.held++;
        }
        s.open = 1;
        s.port = port;
        s.len = s.escaped = s.spoilt = 0;
        return slip_is_full();
    }
    if (!s.open || s.port != port)
        return 0;
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
        return 0;
    }
    if (s.len == s.size)
        s.spoilt = 1;
    else
        s.memory[slot * s.size + s.len++] = byte;
    return 0;
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
