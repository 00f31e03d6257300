/* One function for each fault; main.c has them in a menu. */
#ifndef FAULTS_H
#define FAULTS_H

#include "chip.h"

void fault_null_load(void);
void fault_null_member(void);
void fault_null_store(void);
void fault_null_call(void);
void fault_data_call(void);
void fault_ascii_call(void);
void fault_ascii_return(void);
void fault_illegal(void);
void fault_break(void);
void fault_system_call(void);
void fault_abort(void);
void fault_assert(void);
void fault_error_check(void);
void fault_recursion(void);
void fault_stack_canary(void);
void fault_stack_smash(void);
void fault_heap_tail(void);
void fault_heap_head(void);
void fault_heap_after_free(void);
void fault_out_of_bounds(void);
void fault_interrupt_watchdog(void);
void fault_task_watchdog(void);
void fault_interrupt(void);
void fault_in_handler(void);
void fault_divide(void);
void fault_word_only(void);
void fault_misaligned(void);
void fault_coprocessor(void);
void fault_kernel(void);
void fault_double(void);

/* Copies a string, with its end, wherever it reaches. */
void copy_text(char *to, const char *from);
/* What the firmware found out; nobody looks at it. */
extern volatile uint32_t result;

#endif
