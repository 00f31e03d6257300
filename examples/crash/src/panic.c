#include "panic.h"

#include "console.h"
#include "faults.h"
#include "watchdog.h"

/* The digest of the ELF file, which the build writes here: in the image, not in the ELF file itself,
 * whose digest would then be another one. */
__attribute__((section(".elf_sha256"), used)) const volatile uint8_t elf_sha256[32] = {0};

/* Digits of it that are printed. */
#define SHA256_DIGITS 9

const char *volatile panic_details;
static void (*volatile hook)(void);
static volatile uint32_t entered;

__attribute__((noreturn)) static void restart(void)
{
    flush();
    *reg(RESET_REGISTER) |= RESET_BIT;
    for (;;) {
    }
}

void print_register_table(const char *const *names, const uint32_t *values, unsigned count)
{
    print("Core  0 register dump:");
    for (unsigned i = 0; i < count; i++) {
        unsigned len = 0;

        if (i % 4 == 0) {
            print("\r\n");
        }
        for (; names[i][len]; len++) {
            put(names[i][len]);
        }
        for (; len < 8; len++) {
            put(' ');
        }
        print(": 0x");
        print_hex(values[i]);
        print("  ");
    }
}

void print_task_watchdog(void)
{
    static const char *const lines[] = {
        "Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:",
        " - IDLE (CPU 0)",
        "Tasks currently running:",
        "CPU 0: station",
        "Aborting.",
#ifdef __riscv
        "Print CPU 0 (current core) registers",
#else
        "Print CPU 0 (current core) backtrace",
#endif
    };

    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        print("E (5312) task_wdt: ");
        print(lines[i]);
        print("\r\n");
    }
}

static void print_sha256(void)
{
    print("\r\nELF file SHA256: ");
    for (unsigned i = 0; i < SHA256_DIGITS; i++) {
        put("0123456789abcdef"[elf_sha256[i / 2] >> (i & 1 ? 0 : 4) & 15]);
    }
    print("\r\n\r\n");
}

void panic(const struct frame *frame, const char *reason, const char *description,
           void (*details)(const struct frame *frame))
{
    if (++entered > 2) {
        print("Panic handler entered multiple times. Abort panic handling. Rebooting ...\r\n");
        restart();
    }
    stop_watchdogs();

    const char *said = panic_details;
    if (said) {
        print("\r\n");
        print(said);
    } else {
        if (reason) {
            print("Guru Meditation Error: Core  0 panic'ed (");
            print(reason);
            print("). ");
        }
        if (description) {
            print(description);
        }
        print("\r\n");
        if (details) {
            details(frame);
        }
    }
    print("\r\n");
#ifndef __riscv
    /* The registers are those of the function that gave up: with windows they tell nothing. */
    if (!said)
#endif
    {
        print_registers(frame);
        print("\r\n");
    }
    print_backtrace(frame);
    print("\r\n\r\n");
    panic_details = 0;
    print_sha256();
    if (hook) {
        hook();
    }
    print("Rebooting...\r\n");
    restart();
}

struct core_dump {
    uint32_t magic;
    uint32_t tasks;
};

static struct core_dump *volatile partition;

/* Runs in the handler, and fails itself. */
STEP static void write_core_dump(void)
{
    partition->tasks = 1;
}

STEP static void give_up(void)
{
    *(volatile uint32_t *)(uintptr_t)(result & 4) = 1;
}

void fault_in_handler(void)
{
    hook = write_core_dump;
    give_up();
    keep();
}
