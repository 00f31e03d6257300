#ifndef WATCHDOG_H
#define WATCHDOG_H

#include "chip.h"

/* Interrupts of the CPU that a panic comes of, and the timer's. */
#ifdef __riscv
#define TIMER_INTERRUPT 5
#define WATCHDOG_INTERRUPT 24
#else
#define WATCHDOG_INTERRUPT 24 /* of level 4 */
#endif

void stop_watchdogs(void);
/* The watchdog that rings is the one that looks after tasks. */
extern volatile uint32_t task_watchdog;
/* Called by the interrupt of the timer. */
void on_timer(void);

#endif
