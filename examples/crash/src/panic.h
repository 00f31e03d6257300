/* The handler of everything that nobody expects. It prints what ESP-IDF's prints. */
#ifndef PANIC_H
#define PANIC_H

#include "chip.h"

struct frame;

/* What abort() and its kind say. */
extern const char *volatile panic_details;

/* A panic: `reason` stands in the line's brackets, null where software says what it is. */
__attribute__((noreturn)) void panic(const struct frame *frame, const char *reason,
                                     const char *description,
                                     void (*details)(const struct frame *frame));

/* Each CPU has its own. */
void print_registers(const struct frame *frame);
void print_backtrace(const struct frame *frame);

/* Names in columns, four in a line. */
void print_register_table(const char *const *names, const uint32_t *values, unsigned count);
/* The task watchdog's lines. */
void print_task_watchdog(void);

#ifdef __riscv
#define CALL_LENGTH 4
static inline uint32_t code_address(uint32_t address)
{
    return address;
}
#else
#define CALL_LENGTH 3
/* A return address has the size of the window in its upper bits. */
static inline uint32_t code_address(uint32_t address)
{
    return address & 0x80000000 ? (address & 0x3FFFFFFF) | 0x40000000 : address;
}
#endif

#endif
