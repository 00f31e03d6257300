#ifndef STATION_H
#define STATION_H

void station_list(void);
/* Raises the fault of this letter. Returns if there is none. */
void station_run(char key);

#endif
