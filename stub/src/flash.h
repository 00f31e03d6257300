// SPDX-License-Identifier: MIT OR Apache-2.0
// The SPI flash behind SPI1, by USER commands of at most 64 bytes.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define FLASH_CHUNK 64u

enum flash_result { FLASH_OK, FLASH_FAILED, FLASH_LOCKED, FLASH_OUTSIDE };

void flash_set_size(uint32_t size);  // from SPI_SET_PARAMS; before it, nothing is outside
int flash_has(uint32_t address, uint32_t len);
void flash_read(uint32_t address, void *to, size_t len);       // len at most FLASH_CHUNK
enum flash_result flash_program(uint32_t address, const uint8_t *data, size_t len);
// Erases one unit of 64, 32 or 4 KB, unless it is blank.
enum flash_result flash_erase(uint32_t address, uint32_t unit);
enum flash_result flash_erase_range(uint32_t address, uint32_t end);
enum flash_result flash_erase_all(void);
