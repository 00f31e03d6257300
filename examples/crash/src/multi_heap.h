#ifndef MULTI_HEAP_H
#define MULTI_HEAP_H

#include <stddef.h>

/* Aborts when there is no room, or the heap is damaged. */
void *multi_heap_malloc(size_t size);
void multi_heap_free(void *p);

#endif
