/* What firmware calls when it cannot go on, in the words of the Arduino core. */

#include "../esp.h"

#include "../console.h"
#include "../panic.h"

STEP void panic_abort(const char *text)
{
    panic_details = text;
    for (;;) {
        __asm__ volatile("ill");
    }
}

STEP void abort(void)
{
    panic_abort("\r\nAbort called");
}

static char details[128];

static char *append(char *to, const char *from)
{
    while (*from && to < details + sizeof details - 1) {
        *to++ = *from++;
    }
    *to = 0;
    return to;
}

STEP void __assert_func(const char *file, int line, const char *function, const char *expression)
{
    char digits[4] = {'0', '0', '0', 0};
    char *to = append(append(append(details, "\r\nPanic "), file), ":");
    const char *first = digits;

    for (; line >= 100; line -= 100) {
        digits[0]++;
    }
    for (; line >= 10; line -= 10) {
        digits[1]++;
    }
    digits[2] = (char)('0' + line);
    while (*first == '0' && first < digits + 2) {
        first++;
    }
    to = append(append(append(to, first), " "), function);
    append(append(append(to, ": Assertion '"), expression), "' failed.");
    panic_abort(details);
}

uint32_t __stack_chk_guard = 0x5ea7f00d;

NORETURN void __stack_chk_fail(void);
STEP void __stack_chk_fail(void)
{
    panic_abort("\r\nStack smashing detected.");
}

/* Of no use here: the shared sources name them. */
STEP void _esp_error_check_failed(esp_err_t code, const char *file, int line, const char *function,
                                  const char *expression)
{
    (void)code;
    __assert_func(file, line, function, expression);
}

STEP void vApplicationStackOverflowHook(void *task, const char *name)
{
    (void)task;
    panic_abort(name);
}

uint32_t panic_next;

/* This core cannot divide. */
int __divsi3(int number, int by);
int __divsi3(int number, int by)
{
    int quotient = 0;

    for (; by > 0 && number >= by; number -= by) {
        quotient++;
    }
    return quotient;
}

void *memcpy(void *to, const void *from, size_t len);
void *memcpy(void *to, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}
