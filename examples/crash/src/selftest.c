/* Instructions that raise an exception by themselves. */

#include "console.h"
#include "faults.h"

STEP static void selftest_step(unsigned step)
{
    switch (step) {
    case 0:
#ifdef __riscv
        __asm__ volatile("unimp");
#else
        __asm__ volatile("ill");
#endif
        break;
    case 1:
#ifdef __riscv
        __asm__ volatile("ebreak");
#else
        __asm__ volatile("break 0, 0");
#endif
        break;
    case 2:
#ifdef __riscv
        __asm__ volatile("ecall");
#else
        __asm__ volatile("syscall");
#endif
        break;
    default:
        break;
    }
    result = step;
}

STEP static void selftest(unsigned step)
{
    selftest_step(step);
    keep();
}

void fault_illegal(void)
{
    selftest(0);
    keep();
}

void fault_break(void)
{
    selftest(1);
    keep();
}

void fault_system_call(void)
{
    selftest(2);
    keep();
}

#if defined HAS_ATOMICS || defined HAS_S32C1I
static uint32_t counters[2];

STEP static void count_at(uintptr_t address)
{
#ifdef __riscv
    __asm__ volatile("amoadd.w zero, %0, (%1)" ::"r"(1), "r"(address) : "memory");
#else
    uint32_t value = 1;

    __asm__ volatile("wsr %0, scompare1\n\ts32c1i %0, %1, 0" : "+r"(value) : "r"(address) : "memory");
#endif
    result = 1;
}

void fault_misaligned(void)
{
    count_at((uintptr_t)counters + 2);
    keep();
}
#endif

#ifdef __xtensa__
static volatile int measurements;

STEP static int mean(int sum)
{
    return sum / measurements;
}

void fault_divide(void)
{
    result = (uint32_t)mean(84) + 1;
}

STEP static uint32_t checksum(const volatile uint8_t *bytes, unsigned len)
{
    uint32_t sum = 0;

    while (len--) {
        sum += *bytes++;
    }
    return sum;
}

/* The memory of code is read by whole words only. */
void fault_word_only(void)
{
    result = checksum((const volatile uint8_t *)_text_start, 16) + 1;
}

#ifdef HAS_FLOAT
STEP static void prepare_float(void)
{
    __asm__ volatile("wfr f0, %0" ::"r"(0x3f800000));
    result = 1;
}

void fault_coprocessor(void)
{
    prepare_float();
    keep();
}
#endif

STEP static uint32_t read_word(const volatile uint32_t *address)
{
    return *address;
}

/* A fault while PS.UM says that this is the kernel. */
void fault_kernel(void)
{
    uint32_t ps;

    __asm__ volatile("rsr %0, ps" : "=r"(ps));
    ps &= ~0x20u;
    __asm__ volatile("wsr %0, ps\n\trsync" ::"r"(ps));
    result = read_word((const volatile uint32_t *)(uintptr_t)(result & 4)) + 1;
}

extern uint32_t panic_next;

/* A fault of the handler of exceptions: its own memory is gone. */
void fault_double(void)
{
    *(volatile uint32_t *)&panic_next = 8;
    result = read_word((const volatile uint32_t *)(uintptr_t)(result & 4)) + 1;
}
#endif
