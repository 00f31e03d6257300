/* Compiled with -fstack-protector-strong. */

#include "faults.h"

static const char *volatile user = "Wilhelmina";

STEP static uint32_t greet(const char *name)
{
    char text[8];

    copy_text(text, name);
    return (uint8_t)text[result & 7];
}

STEP static uint32_t greet_user(void)
{
    return greet(user) + 1;
}

void fault_stack_smash(void)
{
    result = greet_user();
}
