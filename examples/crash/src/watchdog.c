/* Programs that take too long, and one that is interrupted. */

#include "watchdog.h"

#include "console.h"
#include "faults.h"

#define CONFIG 0x48
#define PRESCALER 0x4C
#define STAGE0 0x50
#define FEED 0x60
#define PROTECT 0x64
#define STAGE0_INTERRUPT (1u << 29)
#define ENABLE (1u << 31)

volatile uint32_t task_watchdog;

static void stop(uint32_t group)
{
    *reg(group + PROTECT) = WDT_KEY;
    *reg(group + CONFIG) = TIMG_WDT_FLAGS;
    *reg(group + PROTECT) = 0;
}

void stop_watchdogs(void)
{
    stop(TIMG0);
    stop(TIMG1);
    *reg(RTC_WDT_PROTECT) = WDT_KEY;
    *reg(RTC_WDT) = 0;
    *reg(RTC_WDT_PROTECT) = 0;
#ifdef SWD_CONFIG
    *reg(SWD_PROTECT) = SWD_KEY;
    *reg(SWD_CONFIG) |= SWD_AUTO_FEED;
    *reg(SWD_PROTECT) = 0;
#endif
}

/* Leads an interrupt to the CPU. */
static void route(unsigned source, unsigned interrupt, unsigned priority)
{
    *reg(MATRIX + 4 * source) = interrupt;
#ifdef __riscv
    *reg(CONTROLLER + 0x10 + 4 * interrupt) = priority;
    *reg(CONTROLLER + 0x90) = 1;
    *reg(CONTROLLER) |= 1u << interrupt;
#ifdef HAS_MIE
    __asm__ volatile("csrs mie, %0" ::"r"(1u << interrupt));
#endif
    __asm__ volatile("csrsi mstatus, 8");
#else
    uint32_t enabled;

    (void)priority;
    __asm__ volatile("rsr %0, intenable" : "=r"(enabled));
    __asm__ volatile("wsr %0, intenable\n\trsync" ::"r"(enabled | 1u << interrupt));
#endif
}

/* About 20 ms. */
static void start(uint32_t group, unsigned source)
{
    *reg(group + TIMG_INTERRUPTS) = TIMG_WDT_BIT;
    *reg(group + PROTECT) = WDT_KEY;
    *reg(group + PRESCALER) = 40000u << 16;
    *reg(group + STAGE0) = 20;
    *reg(group + CONFIG) = ENABLE | STAGE0_INTERRUPT | TIMG_WDT_FLAGS;
    *reg(group + FEED) = 1;
    *reg(group + PROTECT) = 0;
    route(source, WATCHDOG_INTERRUPT, 4);
}

static volatile uint32_t answered;

STEP static void wait_for_answer(void)
{
    while (!answered) {
    }
}

STEP static void server_ask(const char *question)
{
    result = (uint8_t)*question;
    wait_for_answer();
    keep();
}

void fault_interrupt_watchdog(void)
{
    task_watchdog = 0;
    start(TIMG1, SOURCE_INT_WDT);
    server_ask("time?");
    keep();
}

void fault_task_watchdog(void)
{
    task_watchdog = 1;
    start(TIMG0, SOURCE_TASK_WDT);
    server_ask("weather?");
    keep();
}

struct listener {
    uint32_t events;
    uint32_t count;
};

static struct listener *volatile listener;

STEP static void timer_notify(struct listener *whom)
{
    whom->count++;
}

STEP void on_timer(void)
{
    timer_notify(listener);
    keep();
}

STEP static void start_timer(void)
{
#ifdef __riscv
    *reg(TIMG0 + 0x00) = 0;
    *reg(TIMG0 + 0x18) = 0;
    *reg(TIMG0 + 0x1C) = 0;
    *reg(TIMG0 + 0x20) = 1; /* from 0 */
    *reg(TIMG0 + 0x10) = 5000;
    *reg(TIMG0 + 0x14) = 0;
    *reg(TIMG0 + TIMG_INTERRUPTS) = 1;
    *reg(TIMG0 + 0x00) = 1u << 31 | 1u << 30 | 80u << 13 | 1u << 10;
    route(SOURCE_TIMER, TIMER_INTERRUPT, 2);
#else
    uint32_t now;

    __asm__ volatile("rsr %0, ccount" : "=r"(now));
    __asm__ volatile("wsr %0, ccompare0\n\trsync" ::"r"(now + 200000));
    route(0, 6, 1);
#endif
}

void fault_interrupt(void)
{
    start_timer();
    server_ask("wind?");
    keep();
}
