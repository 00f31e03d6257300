// SPDX-License-Identifier: MIT OR Apache-2.0
// The host at the other end: frames in, frames out.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "slip.h"

// Takes in what has arrived. To be called from every loop that waits or works for long: it is what
// keeps the 128 bytes of the UART's FIFO from running over.
void host_poll(void);
// Waits for a frame; the work that can be done ahead is done meanwhile.
struct frame host_wait(void);

void host_open(void);                             // begins a frame to whoever sent the last one
void host_send(const void *data, size_t len);
void host_close(void);
void host_greet(void);                            // to every port there is, as soon as it has room
void host_flush(void);
