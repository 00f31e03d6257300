/* ESP8266: a report in the layout of the Arduino core. */

#include "../console.h"
#include "../panic.h"
#include "../watchdog.h"

struct frame {
    uint32_t a[16]; /* of which a0 and a1 are filled */
    uint32_t epc1, epc2, epc3, excvaddr, depc, exccause;
};

/* What the Arduino core's own handler has on the stack before it prints it. */
#define OFFSET 0x190

/* Where the build puts the digest of the ELF file; nothing prints it here. */
__attribute__((section(".elf_sha256"), used)) const volatile uint8_t elf_sha256[32] = {0};

const char *volatile panic_details;

/* The ROM leaves none running. */
void stop_watchdogs(void)
{
}

static const char cut[] = "\r\n--------------- CUT HERE FOR EXCEPTION DECODER ---------------\r\n";

static void print_number(const char *name, uint32_t number)
{
    print(name);
    print_hex(number);
}

static int is_ram(uint32_t address)
{
    return address >= (uint32_t)_stack_bottom && address < (uint32_t)_stack_top;
}

static void print_stack(uint32_t sp)
{
    print_number("\r\n>>>stack>>>\r\n\r\nctx: cont\r\nsp: ", sp - OFFSET);
    print_number(" end: ", (uint32_t)_stack_top);
    print(" offset: 0190\r\n");
    for (uint32_t at = sp; at < (uint32_t)_stack_top; at += 16) {
        const volatile uint32_t *words = (const volatile uint32_t *)at;

        if (!is_ram(at)) {
            continue;
        }
        print_hex(at);
        print(":  ");
        for (unsigned i = 0; i < 4; i++) {
            print_hex(words[i]);
            put(' ');
        }
        print(" \r\n");
    }
    print("<<<stack<<<\r\n");
}

__attribute__((noreturn)) void panic_from_exception(const struct frame *frame);

void panic_from_exception(const struct frame *frame)
{
    print(cut);
    if (panic_details) {
        print("\r\nUser exception (panic/abort/assert)\r\n");
        print(panic_details);
        print("\r\n");
    } else {
        print("\r\nException (");
        print_decimal(frame->exccause);
        print("):\r\n");
        print_number("epc1=0x", frame->epc1);
        print_number(" epc2=0x", frame->epc2);
        print_number(" epc3=0x", frame->epc3);
        print_number(" excvaddr=0x", frame->excvaddr);
        print_number(" depc=0x", frame->depc);
        print("\r\n");
    }
    print_stack(frame->a[1]);
    print(cut);
    flush();
    *reg(RESET_REGISTER) |= RESET_BIT;
    for (;;) {
    }
}
