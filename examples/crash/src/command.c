/* Text that is longer than its place: over a pointer to a function, and over a return address. */

#include "faults.h"

struct command {
    char text[12];
    void (*answer)(const char *text);
};

static struct command command;

static void answer(const char *text)
{
    result = (uint8_t)*text;
}

STEP static void command_dispatch(const struct command *one)
{
    one->answer(one->text);
    keep();
}

STEP static void command_receive(const char *line)
{
    command.answer = answer;
    copy_text(command.text, line);
    command_dispatch(&command);
    keep();
}

void fault_ascii_call(void)
{
    command_receive("set limit 25 degrees");
    keep();
}

STEP static uint32_t command_word(const char *line)
{
    char word[16];

    copy_text(word, line);
    return (uint8_t)word[result & 15];
}

STEP static uint32_t command_parse(const char *line)
{
    return command_word(line) + 1;
}

void fault_ascii_return(void)
{
    result = command_parse("temperature and humidity and pressure and wind and rain, all of them");
}
