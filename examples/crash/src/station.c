#include "station.h"

#include "console.h"
#include "faults.h"

static const struct fault {
    char key;
    const char *name;
    void (*raise)(void);
} faults[] = {
    {'a', "null-load", fault_null_load},
    {'b', "null-member", fault_null_member},
    {'c', "null-store", fault_null_store},
    {'d', "null-call", fault_null_call},
#ifndef HAS_ATOMICS /* The ESP32-C6 has one memory for code and data. */
    {'e', "data-call", fault_data_call},
#endif
    {'f', "ascii-call", fault_ascii_call},
#ifdef __riscv /* With windows of registers the return address is not where it can be overwritten. */
    {'g', "ascii-return", fault_ascii_return},
#endif
    {'h', "illegal", fault_illegal},
    {'i', "break", fault_break},
    {'j', "system-call", fault_system_call},
    {'k', "abort", fault_abort},
    {'l', "assert", fault_assert},
    {'m', "error-check", fault_error_check},
    {'n', "recursion", fault_recursion},
    {'o', "stack-canary", fault_stack_canary},
    {'p', "stack-smash", fault_stack_smash},
    {'q', "heap-tail", fault_heap_tail},
    {'r', "heap-head", fault_heap_head},
    {'s', "heap-after-free", fault_heap_after_free},
    {'t', "out-of-bounds", fault_out_of_bounds},
    {'u', "interrupt-watchdog", fault_interrupt_watchdog},
    {'v', "task-watchdog", fault_task_watchdog},
    {'w', "interrupt", fault_interrupt},
    {'x', "in-handler", fault_in_handler},
#ifdef __xtensa__
    {'A', "divide", fault_divide},
    {'B', "word-only", fault_word_only},
#endif
#if defined HAS_ATOMICS || defined HAS_S32C1I
    {'C', "misaligned", fault_misaligned},
#endif
#ifdef HAS_FLOAT
    {'D', "coprocessor", fault_coprocessor},
#endif
#ifdef __xtensa__
    {'E', "kernel", fault_kernel},
    {'F', "double", fault_double},
#endif
};

#define COUNT (sizeof faults / sizeof *faults)

void station_list(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
        print("  ");
        put(faults[i].key);
        print("  ");
        print(faults[i].name);
        print("\r\n");
    }
}

STEP void station_run(char key)
{
    for (unsigned i = 0; i < COUNT; i++) {
        if (faults[i].key == key) {
            print(faults[i].name);
            print("\r\n\r\n");
            faults[i].raise();
            keep();
        }
    }
}
