/* Says hello on the console, tells how it came there, and counts. No operating system,
 * no library, no bootloader: the ROM loads this program from flash into RAM and jumps into it. */

#include "chip.h"

static const char picture[] =
    "\n"
    "   .----------------------------------------------------------.\n"
    "   |                                                          |\n"
    "   |     Hello from Guru.      Press nothing to continue.     |\n"
    "   |           Guru Meditation #00000000.600DF1A5             |\n"
    "   |                                                          |\n"
    "   '----------------------------------------------------------'\n"
    "\n";

/* One paragraph every three seconds, between the counts. */
static const char *const tour[] = {
    "How this text came to you:\n"
    "\n"
    "  1. A tool on your computer pulled two lines of the serial port, DTR and RTS.\n"
    "     On most boards these reach the chip's boot pin and its reset pin, and so\n"
    "     the chip started with the boot pin low, which it reads as: do not run what\n"
    "     is in flash, listen on the serial port instead.\n",

    "  2. What listened was the mask ROM, a program that was etched into the chip\n"
    "     and cannot be changed. It knows some twenty commands: read and write a\n"
    "     register, put bytes into RAM, erase and write flash, give the MD5 of a\n"
    "     range of flash. Each command and each answer is a SLIP packet, framed by\n"
    "     the byte C0.\n",

    "  3. The tool asked what chip this is, what flash is soldered beside it, and\n"
    "     whether the image is for this chip. Only then did it erase anything.\n",

    "  4. The image went over the line compressed, in blocks. The ROM inflated each\n"
    "     block and programmed it into flash, which can only turn ones into zeros;\n"
    "     that is why sectors of 4096 bytes are erased to ones before.\n",

    "  5. At the end the tool asked for the MD5 of what is in flash and compared it\n"
    "     with that of the file. Without this it would only have hoped.\n",

    "  6. The chip was reset once more, now with the boot pin high. The ROM read the\n"
    "     image's header from flash, copied two segments into RAM, checked their\n"
    "     checksum and jumped to the entry point. In an ordinary project a second\n"
    "     bootloader stands in this place and starts the application. Here it is\n"
    "     this program, and there is nothing behind it.\n",

    "  That is all. Now a film, since there is room; then the counter goes on until\n"
    "     you flash something better.\n",
};

/* Pictures of FILM_LINES lines, one behind the other, up to a zero byte. It is there to make the
 * image as large as firmware is; `cargo xtask examples` computes it. */
extern const char film[];
#define FILM_LINES 21

static void print(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            chip_put('\r');
        }
        chip_put(*text);
    }
}

static void wait(uint32_t ticks)
{
    uint32_t start = chip_ticks();

    while (chip_ticks() - start < ticks) {
    }
}

/* Four pictures a second, each drawn over the one before (ESC [ n A: n lines up). */
static void play(void)
{
    const char *p = film;

    while (*p) {
        for (int lines = 0; lines < FILM_LINES && *p; p++) {
            if (*p == '\n') {
                chip_put('\r');
                lines++;
            }
            chip_put(*p);
        }
        wait(chip_ticks_per_second / 4);
        if (*p) {
            print("\x1b[21A");
        }
    }
}

/* Adds one to a decimal number in text. Some of these chips cannot divide. */
static void count_up(char *digits, int length)
{
    for (int i = length - 1; i >= 0; i--) {
        if (digits[i] == ' ') {
            digits[i] = '0';
        }
        if (digits[i] != '9') {
            digits[i]++;
            return;
        }
        digits[i] = '0';
    }
}

void __attribute__((noreturn)) hello(void)
{
    static char count[] = "     0";
    unsigned page = 0;
    unsigned until_page = 3;

    chip_stop_watchdogs();
    print(picture);
    for (;;) {
        print("Hello from Guru on the ");
        print(chip_name);
        print(", ");
        print(count);
        print("\n");
        wait(chip_ticks_per_second);
        count_up(count, sizeof count - 1);
        if (page < sizeof tour / sizeof tour[0] && --until_page == 0) {
            until_page = 3;
            print("\n");
            print(tour[page++]);
            print("\n");
            if (page == sizeof tour / sizeof tour[0]) {
                play();
            }
        }
    }
}
