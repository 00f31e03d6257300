// SPDX-License-Identifier: MIT OR Apache-2.0
#include "read.h"
#include "flash.h"
#include "host.h"
#include "md5.h"
#include "mem.h"
#include "port.h"
#include "slip.h"

void read_digest(uint32_t address, uint32_t len, uint8_t digest[16]) {
    struct md5 md5;
    md5_start(&md5);
    if (len)
        flash_read_begin(address, len);
    while (len) {
        uint32_t chunk[FLASH_CHUNK / 4], part = len < FLASH_CHUNK ? len : FLASH_CHUNK;
        flash_read_end(chunk);
        address += part;
        len -= part;
        // The next chunk comes over the pins while this one is worked at.
        if (len)
            flash_read_begin(address, len);
        md5_add(&md5, chunk, part);
    }
    md5_finish(&md5, digest);
}

// Takes the host's acknowledgements, each the number of bytes it has. Returns 1 when something else
// has come: the host has given the read up.
static int take_acks(uint32_t *acked) {
    for (;;) {
        host_poll();
        struct frame frame = slip_frame();
        if (!frame.data)
            return 0;
        if (slip_is_request(frame))
            return 1;
        if (frame.len == 4)
            *acked = load32(frame.data);
        slip_release();
    }
}

void read_stream(uint32_t address, uint32_t len, uint32_t packet, uint32_t window) {
    struct md5 md5;
    uint32_t sent = 0, acked = 0;
    md5_start(&md5);
    while (acked < len) {
        if (take_acks(&acked) || acked > sent)
            return;
        if (sent == len || sent - acked >= packet * window) {
            if (acked < len)
                port_wait();
            continue;
        }
        uint32_t left = len - sent < packet ? len - sent : packet;
        host_open();
        while (left > 0) {
            uint32_t chunk[FLASH_CHUNK / 4];
            uint32_t part = left < FLASH_CHUNK ? left : FLASH_CHUNK;
            flash_read(address + sent, chunk, part);
            md5_add(&md5, chunk, part);
            host_send(chunk, part);
            sent += part;
            left -= part;
        }
        host_close();
    }
    uint8_t digest[16];
    md5_finish(&md5, digest);
    host_open();
    host_send(digest, sizeof digest);
    host_close();
}
