// SPDX-License-Identifier: MIT OR Apache-2.0
// SLIP (RFC 1055): frames from bytes, held in slots until they are asked for.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SLOT_MEMORY 33280u  // two of 16 KB and 256 bytes, or eight of 4160 bytes
#define SLOTS_MAX 8u

struct frame {
    const uint8_t *data;
    size_t len;
    unsigned port;
};

// Two large slots as the base protocol needs them, or eight small ones. Forgets what was received.
void slip_start(int small);
// Takes so many bytes from a port, fewer when no slot is free for more. They must be there.
void slip_receive(unsigned port, unsigned count);
int slip_is_full(void);
// Whether it has the form of a request: what has not is noise.
static inline int slip_is_request(struct frame frame) { return frame.len >= 8 && frame.data[0] == 0; }
// The oldest frame, until slip_release; `data` is NULL when there is none.
struct frame slip_frame(void);
void slip_release(void);
