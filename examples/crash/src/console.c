#include "console.h"

#define FIFO_LENGTH 128

static unsigned waiting_to_be_sent(void)
{
    return *reg(UART_STATUS) >> 16 & 0xFF;
}

void put(char c)
{
    while (waiting_to_be_sent() >= FIFO_LENGTH - 2) {
    }
    *reg(UART_WRITE) = (uint8_t)c;
}

void print(const char *text)
{
    for (; *text; text++) {
        put(*text);
    }
}

static void print_digit(unsigned digit)
{
    put((char)(digit < 10 ? '0' + digit : 'a' + digit - 10));
}

void print_hex(uint32_t number)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        print_digit(number >> shift & 15);
    }
}

void print_short_hex(uint32_t number)
{
    int shift = 28;

    while (shift > 0 && !(number >> shift)) {
        shift -= 4;
    }
    for (; shift >= 0; shift -= 4) {
        print_digit(number >> shift & 15);
    }
}

/* By subtraction: not every chip divides. */
void print_decimal(uint32_t number)
{
    static const uint32_t powers[] = {10000, 1000, 100, 10, 1};
    int begun = 0;

    for (unsigned i = 0; i < sizeof powers / sizeof *powers; i++) {
        unsigned digit = 0;

        for (; number >= powers[i]; number -= powers[i]) {
            digit++;
        }
        begun |= digit != 0 || powers[i] == 1;
        if (begun) {
            print_digit(digit);
        }
    }
}

char get(void)
{
    while (!(*reg(UART_STATUS) & 0xFF)) {
    }
    return (char)*reg(UART_READ);
}

void flush(void)
{
    while (waiting_to_be_sent()) {
    }
    /* The last byte is still on its way. */
    for (volatile int i = 0; i < 2000; i++) {
    }
}
