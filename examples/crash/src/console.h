/* UART0, at the rate at which the ROM left it. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "chip.h"

void put(char c);
void print(const char *text);
/* Eight digits, without 0x. */
void print_hex(uint32_t number);
/* Without leading zeros or 0x. */
void print_short_hex(uint32_t number);
void print_decimal(uint32_t number);
/* Waits for a byte. */
char get(void);
/* Waits until all is sent. */
void flush(void);

#endif
