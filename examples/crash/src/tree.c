/* Stacks that are too small. */

#include "esp.h"
#include "faults.h"

struct node {
    struct node *parent;
    uint32_t value;
};

/* A tree that bites its tail. */
static struct node leaf;
static struct node root = {&leaf, 1};
static struct node leaf = {&root, 2};

STEP static uint32_t tree_sum(const struct node *node, unsigned level)
{
    volatile uint32_t path[8];

    for (unsigned i = 0; i < 8; i++) {
        path[i] = level << 8 | i;
    }
    if (!node) {
        return 0;
    }
    return tree_sum(node->parent, level + 1) + path[level & 7] + node->value;
}

void fault_recursion(void)
{
    result = tree_sum(&leaf, 0) + 1;
}

/* The end of the stack that a task would have, and how much there has to be untouched. */
#define STACK_END (_stack_bottom + 256)
#define CANARY_WORDS 16

/* Goes down to the end of the stack, and comes back. */
STEP static uint32_t menu_draw(unsigned level)
{
    volatile uint32_t line[16];

    for (unsigned i = 0; i < 16; i++) {
        line[i] = level << 16 | i;
    }
    if ((uintptr_t)line <= (uintptr_t)STACK_END) {
        return level;
    }
    return menu_draw(level + 1) + line[level & 15];
}

/* What an operating system does when another task's turn comes. */
STEP static void task_switch(const char *task)
{
    for (unsigned i = 0; i < CANARY_WORDS; i++) {
        if (STACK_END[i] != 0xA5A5A5A5) {
            vApplicationStackOverflowHook(0, task);
        }
    }
    result = 1;
}

void fault_stack_canary(void)
{
    result = menu_draw(0);
    task_switch("station");
    keep();
}
