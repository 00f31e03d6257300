/* RISC-V: why, and what is printed of the CPU. */

#include "console.h"
#include "panic.h"
#include "watchdog.h"

#define INTERRUPT (1u << 31)
#define NO_CAUSE 0xDEADC0DE

/* In the order in which they are printed. */
struct frame {
    uint32_t mepc;
    uint32_t ra, sp;
    uint32_t others[29]; /* x3 to x31 */
    uint32_t mstatus, mtvec, mcause, mtval, mhartid;
};

static const char *const names[] = {
    "MEPC", "RA", "SP",  "GP",  "TP", "T0", "T1", "T2", "S0/FP",   "S1",    "A0",     "A1",    "A2",
    "A3",   "A4", "A5",  "A6",  "A7", "S2", "S3", "S4", "S5",      "S6",    "S7",     "S8",    "S9",
    "S10",  "S11", "T3", "T4",  "T5", "T6", "MSTATUS", "MTVEC", "MCAUSE", "MTVAL", "MHARTID",
};

static const char *const reasons[] = {
    "Instruction address misaligned",
    "Instruction access fault",
    "Illegal instruction",
    "Breakpoint",
    "Load address misaligned",
    "Load access fault",
    "Store address misaligned",
    "Store access fault",
    "Environment call from U-mode",
    "Environment call from S-mode",
    "Unknown",
    "Environment call from M-mode",
    "Instruction page fault",
    "Load page fault",
    "Unknown",
    "Store page fault",
};

void print_registers(const struct frame *frame)
{
    print_register_table(names, &frame->mepc, sizeof names / sizeof *names);
}

static int is_ram(uint32_t address)
{
    return (address >= (uint32_t)_stack_bottom && address < (uint32_t)_stack_top)
           || (address >= (uint32_t)_ram_start && address < (uint32_t)_ram_end);
}

/* 1 KB from the stack pointer on, of which only memory of ours is touched. */
void print_backtrace(const struct frame *frame)
{
    print("\r\nStack memory:\r\n");
    for (uint32_t at = frame->sp; at < frame->sp + 1024; at += 32) {
        if (!is_ram(at) || !is_ram(at + 31)) {
            continue;
        }
        print_hex(at);
        put(':');
        for (uint32_t word = at; word < at + 32; word += 4) {
            print(" 0x");
            print_hex(*(const volatile uint32_t *)word);
        }
        print("\r\n");
    }
}

__attribute__((noreturn)) void panic_from_exception(struct frame *frame);

void panic_from_exception(struct frame *frame)
{
    if (!(frame->mcause & INTERRUPT)) {
        uint32_t cause = frame->mcause;
        const char *reason = cause < sizeof reasons / sizeof *reasons ? reasons[cause] : "Unknown";

        panic(frame, reason, "Exception was unhandled.", 0);
    }
    if (task_watchdog) {
        frame->mcause = NO_CAUSE;
        frame->mtval = NO_CAUSE;
        print_task_watchdog();
        panic(frame, 0, 0, 0);
    }
    frame->mcause &= 0x1F;
    panic(frame, "Interrupt wdt timeout on CPU0", 0, 0);
}
