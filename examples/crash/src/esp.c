#include "esp.h"

#include "console.h"
#include "panic.h"

static char details[128];

static char *append(char *to, const char *from)
{
    char *end = details + sizeof details - 1;

    while (*from && to < end) {
        *to++ = *from++;
    }
    *to = 0;
    return to;
}

static char *append_hex(char *to, uint32_t number)
{
    char digits[9];
    int at = 8;

    digits[8] = 0;
    do {
        digits[--at] = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number);
    return append(to, digits + at);
}

static char *append_decimal(char *to, uint32_t number)
{
    char digits[5] = "0000";
    static const uint16_t powers[] = {1000, 100, 10, 1};
    int first = 3;

    for (int i = 0; i < 4; i++) {
        for (; number >= powers[i]; number -= powers[i]) {
            digits[i]++;
        }
        if (digits[i] != '0' && i < first) {
            first = i;
        }
    }
    return append(to, digits + first);
}

STEP void panic_abort(const char *text)
{
    panic_details = text;
    for (;;) {
#ifdef __riscv
        __asm__ volatile("unimp");
#else
        __asm__ volatile("ill");
#endif
    }
}

STEP void esp_system_abort(const char *text)
{
    panic_abort(text);
}

STEP void abort(void)
{
    /* Three bytes before the return address: inside of the call. */
    uint32_t caller = code_address((uint32_t)(uintptr_t)__builtin_return_address(0)) - 3;
    char *to = append(details, "abort() was called at PC 0x");

    to = append_hex(to, caller);
    append(to, " on core 0");
    esp_system_abort(details);
}

STEP void __assert_func(const char *file, int line, const char *function, const char *expression)
{
    char *to = append(details, "assert failed: ");

    to = append(append(append(append(to, function), " "), file), ":");
    to = append_decimal(to, (uint32_t)line);
    append(append(append(to, " ("), expression), ")");
    esp_system_abort(details);
}

STEP void _esp_error_check_failed(esp_err_t code, const char *file, int line, const char *function,
                                  const char *expression)
{
    uint32_t caller = code_address((uint32_t)(uintptr_t)__builtin_return_address(0)) - CALL_LENGTH;

    print("ESP_ERROR_CHECK failed: esp_err_t 0x");
    print_short_hex((uint32_t)code);
    print(code == ESP_ERR_INVALID_STATE ? " (ESP_ERR_INVALID_STATE)" : " (UNKNOWN ERROR)");
    print(" at 0x");
    print_hex(caller);
    print("\r\nfile: \"");
    print(file);
    print("\" line ");
    print_decimal((uint32_t)line);
    print("\r\nfunc: ");
    print(function);
    print("\r\nexpression: ");
    print(expression);
    print("\r\n");
    abort();
}

STEP void vApplicationStackOverflowHook(void *task, const char *name)
{
    char *to = append(details, "***ERROR*** A stack overflow in task ");

    (void)task;
    append(append(to, name), " has been detected.");
    esp_system_abort(details);
}

/* What the compiler calls. */

uint32_t __stack_chk_guard = 0x5ea7f00d;

NORETURN void __stack_chk_fail(void);
STEP void __stack_chk_fail(void)
{
    esp_system_abort("Stack smashing protect failure!");
}

NORETURN void __ubsan_handle_out_of_bounds(void *data, void *index);
STEP void __ubsan_handle_out_of_bounds(void *data, void *index)
{
    (void)data;
    (void)index;
    esp_system_abort("Undefined behavior of type out_of_bounds");
}

void *memcpy(void *to, const void *from, size_t len);
void *memcpy(void *to, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}

void *memset(void *to, int byte, size_t len);
void *memset(void *to, int byte, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = (uint8_t)byte;
    }
    return to;
}
