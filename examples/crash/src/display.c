/* Pointers to functions that are none. */

#include "faults.h"

struct display {
    const char *name;
    void (*flush)(const struct display *display);
};

static const uint32_t picture[] = {0x00ff00ff, 0x3c424299, 0x9942423c, 0};

static struct display unfinished = {"unfinished", 0};
static struct display confused = {"confused", 0};

STEP static void display_update(const struct display *display)
{
    display->flush(display);
    keep();
}

STEP static void display_show(struct display *display)
{
    display_update(display);
    keep();
}

void fault_null_call(void)
{
    display_show(&unfinished);
    keep();
}

void fault_data_call(void)
{
    confused.flush = (void (*)(const struct display *))(uintptr_t)picture;
    display_show(&confused);
    keep();
}
