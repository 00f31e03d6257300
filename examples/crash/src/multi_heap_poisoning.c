/* A heap that notices what is written outside of its blocks: words before and behind each, and a
 * pattern in what is free. Values and texts as ESP-IDF has them. */

#include "multi_heap.h"

#include "console.h"
#include "esp.h"

#define HEAD 0xABBA1234
#define TAIL 0xBAAD5678
#define FREE_PATTERN 0xFEFEFEFE
#define FRESH_BYTE 0xCE
#define BLOCKS 8
#define BLOCK_WORDS 16

struct block {
    uint32_t head;
    uint32_t size;
    uint32_t words[BLOCK_WORDS]; /* with the tail behind `size` bytes */
};

static struct block blocks[BLOCKS];
static uint8_t used[BLOCKS];
static uint8_t begun;

static void fill(struct block *block)
{
    for (unsigned i = 0; i < BLOCK_WORDS; i++) {
        block->words[i] = FREE_PATTERN;
    }
}

static void begin(void)
{
    for (unsigned i = 0; i < BLOCKS && !begun; i++) {
        fill(&blocks[i]);
    }
    begun = 1;
}

static void told(const char *what, const void *where, uint32_t expected, uint32_t got)
{
    print("CORRUPT HEAP: ");
    print(what);
    print(" at 0x");
    print_short_hex((uint32_t)(uintptr_t)where);
    print(". Expected 0x");
    print_hex(expected);
    print(" got 0x");
    print_hex(got);
    print("\r\n");
}

static uint32_t *tail_of(struct block *block)
{
    return &block->words[block->size / 4];
}

STEP static int verify_fill_pattern(struct block *block)
{
    for (unsigned i = 0; i < BLOCK_WORDS; i++) {
        if (block->words[i] != FREE_PATTERN) {
            told("Invalid data", &block->words[i], FREE_PATTERN, block->words[i]);
            return 0;
        }
    }
    return 1;
}

STEP static struct block *verify_allocated_region(void *p)
{
    struct block *block = (struct block *)((uint8_t *)p - offsetof(struct block, words));

    if (block->head != HEAD) {
        told("Bad head", &block->head, HEAD, block->head);
        return 0;
    }
    if (*tail_of(block) != TAIL) {
        told("Bad tail", tail_of(block), TAIL, *tail_of(block));
        return 0;
    }
    return block;
}

STEP void *multi_heap_malloc(size_t size)
{
    unsigned i = 0;

    begin();
    while (i < BLOCKS && used[i]) {
        i++;
    }
    assert(i < BLOCKS && size < sizeof blocks->words - 4);
    int ret = verify_fill_pattern(&blocks[i]);
    assert(ret);
    used[i] = 1;
    blocks[i].head = HEAD;
    blocks[i].size = (uint32_t)((size + 3) & ~3u);
    for (unsigned at = 0; at < blocks[i].size; at++) {
        ((volatile uint8_t *)blocks[i].words)[at] = FRESH_BYTE;
    }
    *tail_of(&blocks[i]) = TAIL;
    return blocks[i].words;
}

STEP void multi_heap_free(void *p)
{
    struct block *head = verify_allocated_region(p);

    assert(head != NULL);
    fill(head);
    used[head - blocks] = 0;
}
