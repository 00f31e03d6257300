// SPDX-License-Identifier: MIT OR Apache-2.0
// Error numbers of the flasher stubs, as hosts know them.
#pragma once
#include "flash.h"
#include <stdint.h>

enum {
    OK = 0,
    BAD_LENGTH = 0xc000,
    BAD_CHECKSUM = 0xc100,
    BAD_BLOCK_SIZE = 0xc200,
    BAD_COMMAND = 0xc300,
    SPI_FAILED = FLASH_FAILED,
    SPI_LOCKED = FLASH_LOCKED,
    NOT_BEGUN = 0xc600,
    INFLATE_FAILED = 0xc700,
    TOO_LITTLE = 0xc800,
    TOO_MUCH = 0xc900,
    NOT_THERE = 0xff00,
};

