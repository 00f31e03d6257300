/* Xtensa with windows of registers: why, and what is printed of the CPU. */

#include "console.h"
#include "panic.h"
#include "watchdog.h"

#define IS_ILLEGAL 0
#define IS_FETCH_PROHIBITED 20
#define IS_COPROCESSOR(cause) ((cause) >= 32 && (cause) < 40)

#define KIND_EXCEPTION 0
#define KIND_DOUBLE 2
#define KIND_COPROCESSOR 4

/* As xtensa.S fills it, and up to `lcount` in the order in which it is printed. */
struct frame {
    uint32_t pc, ps, a[16], sar, exccause, excvaddr, lbeg, lend, lcount;
    uint32_t kind, epc[4], depc, excsave1, unused;
};

static const char *const names[] = {
    "PC",  "PS",  "A0",  "A1",  "A2",  "A3",  "A4",  "A5",       "A6",       "A7",   "A8",   "A9",
    "A10", "A11", "A12", "A13", "A14", "A15", "SAR", "EXCCAUSE", "EXCVADDR", "LBEG", "LEND", "LCOUNT",
};

/* EXCCAUSE. What has no name is reserved. */
static const char *const reasons[40] = {
    [0] = "IllegalInstruction",
    [1] = "Syscall",
    [2] = "InstructionFetchError",
    [3] = "LoadStoreError",
    [4] = "Level1Interrupt",
    [5] = "Alloca",
    [6] = "IntegerDivideByZero",
    [7] = "PCValue",
    [8] = "Privileged",
    [9] = "LoadStoreAlignment",
    [12] = "InstrPDAddrError",
    [13] = "LoadStorePIFDataError",
    [14] = "InstrPIFAddrError",
    [15] = "LoadStorePIFAddrError",
    [16] = "InstTLBMiss",
    [17] = "InstTLBMultiHit",
    [18] = "InstFetchPrivilege",
    [20] = "InstrFetchProhibited",
    [24] = "LoadStoreTLBMiss",
    [25] = "LoadStoreTLBMultihit",
    [26] = "LoadStorePrivilege",
    [28] = "LoadProhibited",
    [29] = "StoreProhibited",
};

static const char *const kinds[] = {
    "Unknown reason",
    "Unhandled debug exception",
    "Double exception",
    "Unhandled kernel exception",
    "Coprocessor exception",
    "Interrupt wdt timeout on CPU0",
};

/* Set by the interrupt's entry. */
volatile uint32_t in_isr;
extern uint32_t isr_stack[];
extern const uint32_t exception_code[], exception_code_end[];

void print_registers(const struct frame *frame)
{
    static const char *const isr_names[] = {"EPC1    : 0x", "  EPC2    : 0x", "  EPC3    : 0x",
                                            "  EPC4    : 0x"};

    print_register_table(names, &frame->pc, sizeof names / sizeof *names);
    if (in_isr) {
        print("\r\nCore  0 was running in ISR context:\r\n");
        for (unsigned i = 0; i < 4; i++) {
            print(isr_names[i]);
            print_hex(frame->epc[i]);
        }
    }
}

/* Where the CPU was before an address that a call or an exception left. */
static uint32_t place(uint32_t address)
{
    return code_address(address) - 3;
}

static int is_stack(uint32_t sp)
{
    uint32_t isr = (uint32_t)isr_stack;
    int of_task = sp >= (uint32_t)_stack_bottom && sp <= (uint32_t)_stack_top;

    return !(sp & 15) && (of_task || (sp >= isr && sp <= isr + 1024));
}

static int is_code(uint32_t pc)
{
    return pc >= (uint32_t)_text_start && pc < (uint32_t)_text_end;
}

static void print_entry(uint32_t pc, uint32_t sp)
{
    print(" 0x");
    print_hex(place(pc));
    print(":0x");
    print_hex(sp);
}

/* Below a frame's stack pointer lie a0 and a1 of its caller. */
void print_backtrace(const struct frame *frame)
{
    uint32_t pc = frame->pc, sp = frame->a[1], next = frame->a[0];
    int fetch = frame->kind == KIND_EXCEPTION && frame->exccause == IS_FETCH_PROHIBITED;
    int corrupted = !(is_stack(sp) && (is_code(place(pc)) || fetch));
    int depth = 100;

    print("\r\n\r\nBacktrace:");
    print_entry(pc, sp);
    while (depth-- > 0 && next != 0 && !corrupted) {
        const volatile uint32_t *saved = (const volatile uint32_t *)(sp - 16);

        pc = next;
        next = saved[0];
        sp = saved[1];
        print_entry(pc, sp);
        corrupted = !(is_stack(sp) && is_code(place(pc)));
    }
    if (corrupted) {
        print(" |<-CORRUPTED");
    } else if (next != 0) {
        print(" |<-CONTINUES");
    }
    print("\r\n\r\n");
}

/* The words around the instruction. */
static void print_memory(const struct frame *frame)
{
    uint32_t at = (frame->pc & ~3u) - 4;

    if (!is_code(at)) {
        return;
    }
    print("Memory dump at 0x");
    print_hex(at);
    put(':');
    for (unsigned i = 0; i < 3; i++) {
        put(' ');
        print_hex(((const volatile uint32_t *)at)[i]);
    }
}

static void print_debug_reason(const struct frame *frame)
{
    uint32_t cause;

    (void)frame;
    __asm__ volatile("rsr %0, debugcause" : "=r"(cause));
    print("Debug exception reason: ");
    if (cause & 1 << 0) {
        print("SingleStep ");
    }
    if (cause & 1 << 1) {
        print("HwBreakpoint ");
    }
    if (cause & 1 << 2) {
        print(cause & 1 << 8 ? "Watchpoint 1 triggered " : "Watchpoint 0 triggered ");
    }
    if (cause & 1 << 3) {
        print("BREAK instr ");
    }
    if (cause & 1 << 4) {
        print("BREAKN instr ");
    }
    if (cause & 1 << 5) {
        print("DebugIntr ");
    }
}

__attribute__((noreturn)) void panic_from_exception(struct frame *frame);

void panic_from_exception(struct frame *frame)
{
    int interrupts = frame->kind == 5;

    if (frame->kind == KIND_DOUBLE && frame->depc >= (uint32_t)exception_code
        && frame->depc < (uint32_t)exception_code_end) {
        /* The first handler had put it there before it failed. */
        frame->a[0] = frame->excsave1;
    }
    if (frame->kind == KIND_EXCEPTION && IS_COPROCESSOR(frame->exccause)) {
        frame->kind = KIND_COPROCESSOR;
    }
    if (interrupts && task_watchdog) {
        print_task_watchdog();
        panic(frame, 0, 0, 0);
    }
    if (frame->kind != KIND_EXCEPTION) {
        frame->exccause = frame->kind;
        panic(frame, kinds[frame->kind], 0, frame->kind == 1 ? print_debug_reason : 0);
    }
    const char *reason = frame->exccause < 40 ? reasons[frame->exccause] : 0;
    panic(frame, reason ? reason : "res", "Exception was unhandled.",
          frame->exccause == IS_ILLEGAL ? print_memory : 0);
}
