/* Plugins with one fault each, chosen by FAULT. */
#include "mitogen_plugin.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) { (const uint8_t *)literal, sizeof(literal) - 1 }

#ifndef NAME
#define NAME "faulty"
#endif
#ifndef MAGIC
#define MAGIC MITOGEN_PLUGIN_MAGIC
#endif
#ifndef SIZE
#define SIZE sizeof(mitogen_plugin)
#endif
#ifndef MAJOR
#define MAJOR MITOGEN_PLUGIN_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR MITOGEN_PLUGIN_ABI_MINOR
#endif
#ifndef OPTIONS
#define OPTIONS "{}"
#endif
#ifndef REPLY
#define REPLY "{}"
#endif
#ifndef STATUS
#define STATUS 0
#endif
#ifndef PLAN
#define PLAN plan
#endif

static int32_t plan(mitogen_str request, mitogen_buf *reply) {
    (void)request;
#ifdef LARGE
    reply->len = 2 << 20;
    reply->ptr = calloc(1, reply->len);
    reply->free = NULL;
#elif defined(NOTHING)
    reply->len = 5;
#else
    static const char text[] = REPLY;
    reply->ptr = (uint8_t *)text;
    reply->len = sizeof(text) - 1;
    reply->free = NULL;
#endif
    return STATUS;
}

static const mitogen_plugin table = {MAGIC, SIZE, MAJOR, MINOR, 0, TEXT(NAME), TEXT("1"), TEXT(OPTIONS), PLAN};

#ifndef SYMBOL
#define SYMBOL mitogen_plugin_v1
#endif

const mitogen_plugin *SYMBOL(void);
const mitogen_plugin *SYMBOL(void) {
    (void)plan;
#ifdef NO_TABLE
    (void)table;
    return NULL;
#else
    return &table;
#endif
}
