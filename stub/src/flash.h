// SPDX-License-Identifier: MIT OR Apache-2.0
// The SPI flash behind SPI1, by USER commands of at most 64 bytes.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "chip.h"

#define FLASH_CHUNK 64u  // what the controller takes at once
#ifdef SPI_HOLD_BIT
#define FLASH_PAGE 256u  // what is programmed at once
#else
#define FLASH_PAGE FLASH_CHUNK
#endif
#ifdef ROM_WRITE_ENCRYPTED
#define CAN_ENCRYPT 1
#else
#define CAN_ENCRYPT 0
#endif

// As errors.h numbers them.
enum flash_result { FLASH_OK = 0, FLASH_FAILED = 0xc400, FLASH_LOCKED = 0xc500 };

// Connects the flash to the pads that the word names, as the ROM's SPI_ATTACH takes it; 0: those that
// the eFuses say, or the usual ones.
void flash_attach(uint32_t pads);
int flash_is_locked(void);
// Programs and erases are under way when their function returns; what comes next waits for them.
int flash_is_busy(void);
void flash_settle(void);
void flash_set_size(uint32_t size);  // from SPI_SET_PARAMS; before it, nothing is outside
int flash_has(uint32_t address, uint32_t len);
// FLASH_CHUNK bytes, of which `len` are wanted: what stands behind them is anything.
void flash_read(uint32_t address, uint32_t to[FLASH_CHUNK / 4], size_t len);
// The same in two parts: the flash sends while something else is done.
void flash_read_begin(uint32_t address, size_t len);
void flash_read_end(uint32_t to[FLASH_CHUNK / 4]);
// Within one page of FLASH_PAGE. Encrypted: address and length in multiples of what the chip encrypts
// at once, data aligned to 4.
enum flash_result flash_program(uint32_t address, const uint8_t *data, size_t len, int encrypted);
// Begins to erase one unit of 64, 32 or 4 KB, unless it is blank.
enum flash_result flash_erase(uint32_t address, uint32_t unit);
enum flash_result flash_erase_range(uint32_t address, uint32_t end);
enum flash_result flash_erase_all(void);
