/* What becomes of a heap: one byte too many, one too low, and one too late. */

#include "faults.h"
#include "multi_heap.h"

STEP static char *message_new(const char *text)
{
    char *message = multi_heap_malloc(16);

    copy_text(message, text);
    return message;
}

STEP static void message_send(char *message)
{
    result = (uint8_t)*message;
    multi_heap_free(message);
    keep();
}

void fault_heap_tail(void)
{
    message_send(message_new("18.5 degrees"));
    message_send(message_new("18.5 degrees, rain"));
    keep();
}

STEP static void message_number(char *message, char number)
{
    /* There is no room before it. */
    message[-5] = number;
}

void fault_heap_head(void)
{
    char *message = message_new("wind");

    message_number(message, '7');
    message_send(message);
    keep();
}

static char *volatile last;

void fault_heap_after_free(void)
{
    last = message_new("rain");
    message_send(last);
    last[8] = '!';
    last = message_new("sun");
    keep();
}
