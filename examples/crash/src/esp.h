/* What firmware calls when it cannot go on. Names as in ESP-IDF, so that call chains look like those
 * of its applications. */
#ifndef ESP_H
#define ESP_H

#include "chip.h"

#define NORETURN __attribute__((noreturn))

NORETURN void abort(void);
NORETURN void esp_system_abort(const char *details);
NORETURN void panic_abort(const char *details);
NORETURN void __assert_func(const char *file, int line, const char *function, const char *expression);
void vApplicationStackOverflowHook(void *task, const char *name);

#define assert(expression) \
    ((expression) ? (void)0 : __assert_func(__FILE_NAME__, __LINE__, __func__, #expression))

typedef int esp_err_t;
#define ESP_OK 0
#define ESP_ERR_INVALID_STATE 0x103

NORETURN void _esp_error_check_failed(esp_err_t code, const char *file, int line,
                                      const char *function, const char *expression);

#define ESP_ERROR_CHECK(x)                                                           \
    do {                                                                             \
        esp_err_t code_ = (x);                                                       \
        if (code_ != ESP_OK) {                                                       \
            _esp_error_check_failed(code_, __FILE_NAME__, __LINE__, __func__, #x);   \
        }                                                                            \
    } while (0)

#endif
