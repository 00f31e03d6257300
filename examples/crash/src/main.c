/* A menu of faults. The program stands for the firmware of a weather station: what goes wrong in it
 * lies some calls deep, as it does in the field. */

#include "console.h"
#include "faults.h"
#include "station.h"
#include "watchdog.h"

/* With an end there is a caller to return to, as there is for a task. */
#define END_OF_TEXT 3

volatile uint32_t result;

void copy_text(char *to, const char *from)
{
    while ((*to++ = *from++)) {
    }
}

int main(void)
{
    stop_watchdogs();
    print("\r\n\r\nA crash to choose, on the " CHIP_NAME ":\r\n\r\n");
    station_list();
    for (;;) {
        print("\r\nWhich? ");
        char key = get();
        if (key == END_OF_TEXT) {
            return 0;
        }
        station_run(key);
        print("\r\nThere is no such fault here.\r\n");
    }
}
