/* Compiled with -fsanitize=bounds. */

#include "faults.h"

static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
static volatile unsigned month = 12;

STEP static unsigned days_in(unsigned number)
{
    return days[number];
}

void fault_out_of_bounds(void)
{
    result = days_in(month) + 1;
}
