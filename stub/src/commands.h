// SPDX-License-Identifier: MIT OR Apache-2.0
// The commands: numbers, requests, answers.
#pragma once
#include "slip.h"
#include <stddef.h>
#include <stdint.h>

enum {
    RESPONSE = 0x01,  // in the place of a direction; no request
    FLASH_BEGIN = 0x02, FLASH_DATA = 0x03, FLASH_END = 0x04,
    MEM_BEGIN = 0x05, MEM_END = 0x06, MEM_DATA = 0x07,
    SYNC = 0x08, WRITE_REG = 0x09, READ_REG = 0x0a,
    SPI_SET_PARAMS = 0x0b, SPI_ATTACH = 0x0d, CHANGE_BAUDRATE = 0x0f,
    FLASH_DEFL_BEGIN = 0x10, FLASH_DEFL_DATA = 0x11, FLASH_DEFL_END = 0x12,
    SPI_FLASH_MD5 = 0x13,
    GET_SECURITY_INFO = 0x14,
    ERASE_FLASH = 0xd0, ERASE_REGION = 0xd1, READ_FLASH = 0xd2, RUN_USER_CODE = 0xd3,
    FLASH_ENCRYPT_DATA = 0xd4,
    // Ours; see README.md.
    CAPABILITIES = 0xe0, DIGEST_MAP = 0xe1,
};

#define CAN_DIGEST_MAP 1u
#define CAN_SMALL_SLOTS 2u
#define CAN_32BIT 4u

// The block of a DATA frame: DUE when it is the one that is expected, OK when it is the one before that,
// once more; else what is wrong with it.
#define DUE 1
uint16_t check_block(struct frame frame, uint32_t expected);
void reply(uint8_t op, uint32_t value, const void *data, size_t len, uint16_t error);
// Takes one frame and releases its slot.
void command(struct frame frame);
