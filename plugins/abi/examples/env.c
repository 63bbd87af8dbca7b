/* A transport in C: the child runs with one more environment variable. Build it with
 *
 *     cc -shared -fPIC -I plugins/abi/include -o env.so plugins/abi/examples/env.c
 *
 * The request is JSON. This plugin needs one text of it and the array of the child's arguments, which it copies into its
 * reply as they are.
 */
#include "mitogen_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) { (const uint8_t *)literal, sizeof(literal) - 1 }

static void release(uint8_t *ptr, size_t len) {
    (void)len;
    free(ptr);
}

/* The JSON value behind "key": in text, up to the end of the string or array that begins there. */
static const char *value(const char *text, const char *key, char open, char close, size_t *len) {
    const char *at = strstr(text, key);
    const char *end;
    int quoted = open == '"';
    if (at == NULL || at[strlen(key)] != open)
        return NULL;
    at += strlen(key);
    for (end = at + 1; *end != 0; end++) {
        if (*end == '\\')
            end++;
        else if (*end == close && !(open == '[' && quoted))
            break;
        else if (*end == '"')
            quoted = !quoted;
        if (*end == 0)
            return NULL;
    }
    *len = (size_t)(end - at) + 1;
    return at;
}

static int32_t answer(mitogen_buf *reply, int32_t status, char *text) {
    if (text == NULL)
        return MITOGEN_PLUGIN_PANICKED;
    reply->ptr = (uint8_t *)text;
    reply->len = strlen(text);
    reply->free = release;
    return status;
}

static int32_t plan(mitogen_str request, mitogen_buf *reply) {
    static const char form[] =
        "{\"plan\":{\"version\":1,\"name\":\"env\",\"method\":\"env\",\"timeout\":30,"
        "\"start\":{\"spawn\":{\"argv\":%.*s,\"env\":{\"GREETING\":%.*s}}}}}";
    size_t argv_len = 0, text_len = 0, size;
    const char *argv, *text;
    char *out, *in = malloc(request.len + 1);
    if (in == NULL)
        return MITOGEN_PLUGIN_PANICKED;
    memcpy(in, request.ptr, request.len);
    in[request.len] = 0;
    argv = value(in, "\"argv\":", '[', ']', &argv_len);
    text = value(in, "\"greeting\":", '"', '"', &text_len);
    if (argv == NULL || text == NULL || text_len == 2) {
        static const char refusal[] = "{\"error\":{\"key\":\"greeting\",\"message\":\"must be a text that is not empty\"}}";
        free(in);
        out = malloc(sizeof(refusal));
        if (out != NULL)
            memcpy(out, refusal, sizeof(refusal));
        return answer(reply, MITOGEN_PLUGIN_ERROR, out);
    }
    size = sizeof(form) + argv_len + text_len;
    out = malloc(size);
    if (out != NULL)
        snprintf(out, size, form, (int)argv_len, argv, (int)text_len, text);
    free(in);
    return answer(reply, MITOGEN_PLUGIN_OK, out);
}

static const mitogen_plugin table = {
    MITOGEN_PLUGIN_MAGIC,
    sizeof(mitogen_plugin),
    MITOGEN_PLUGIN_ABI_MAJOR,
    MITOGEN_PLUGIN_ABI_MINOR,
    0,
    TEXT("env"),
    TEXT("1.0"),
    TEXT("{\"type\":\"object\",\"properties\":{\"greeting\":{\"type\":\"string\",\"description\":\"the value of GREETING\"}},"
         "\"required\":[\"greeting\"]}"),
    plan,
};

const mitogen_plugin *mitogen_plugin_v1(void) {
    return &table;
}
