/* The menu of the ESP8266, which has no interrupts and no heap here. */

#include "../station.h"

#include "../console.h"
#include "../faults.h"

static uint32_t counters[2];

STEP static void count_at(uintptr_t address)
{
    ++*(volatile uint32_t *)address;
}

/* This core loads and stores at multiples of the width only. */
void fault_misaligned(void)
{
    count_at((uintptr_t)counters + 2);
    keep();
}

static const struct fault {
    char key;
    const char *name;
    void (*raise)(void);
} faults[] = {
    {'a', "null-load", fault_null_load},
    {'b', "null-member", fault_null_member},
    {'c', "null-store", fault_null_store},
    {'d', "null-call", fault_null_call},
    {'e', "data-call", fault_data_call},
    {'f', "ascii-call", fault_ascii_call},
    {'g', "ascii-return", fault_ascii_return},
    {'h', "illegal", fault_illegal},
    {'j', "system-call", fault_system_call},
    {'k', "abort", fault_abort},
    {'l', "assert", fault_assert},
    {'n', "recursion", fault_recursion},
    {'p', "stack-smash", fault_stack_smash},
    {'B', "word-only", fault_word_only},
    {'C', "misaligned", fault_misaligned},
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
