/* A store to null, behind a call that optimisation makes a jump. */

#include "faults.h"

struct ring {
    volatile uint32_t *slots;
    unsigned next;
};

static struct ring ring; /* without memory for its slots */
static struct ring *volatile log_ring = &ring;

STEP static void ring_put(struct ring *to, uint32_t value)
{
    to->slots[to->next] = value;
    to->next++;
}

/* Has no frame of its own on RISC-V, unless compiled without optimisation. */
STEP static void record_append(uint32_t value)
{
    ring_put(log_ring, value);
}

STEP static void record_measurement(uint32_t value)
{
    record_append(value << 8 | 1);
    keep();
}

void fault_null_store(void)
{
    record_measurement(21);
    keep();
}
