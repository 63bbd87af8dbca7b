/* The interface between Mitogen for Rust and shared objects that add a transport.
 *
 * A plugin exports one function, mitogen_plugin_v1(), which returns a table that lives as long as the process. Nothing is
 * ever unloaded. A plugin answers questions and starts nothing: its answer is a plan, which is data.
 */
#ifndef MITOGEN_PLUGIN_H
#define MITOGEN_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MITOGEN_PLUGIN_MAGIC 0x4d49544fu
/* A host loads plugins of its own major version with a minor version up to its own. */
#define MITOGEN_PLUGIN_ABI_MAJOR 1
#define MITOGEN_PLUGIN_ABI_MINOR 0

/* What plan() returns. */
#define MITOGEN_PLUGIN_OK 0
#define MITOGEN_PLUGIN_ERROR 1    /* the reply says why */
#define MITOGEN_PLUGIN_PANICKED 2 /* the plugin is not called again */

/* UTF-8 text, not terminated. Arguments are valid during the call, texts of the table for ever. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} mitogen_str;

/* A reply: UTF-8 text of the plugin, at most 1 MiB. The host calls free(ptr, len) once; free may be null. */
typedef struct {
    uint8_t *ptr;
    size_t len;
    void (*free)(uint8_t *ptr, size_t len);
} mitogen_buf;

typedef struct {
    uint32_t magic;       /* MITOGEN_PLUGIN_MAGIC */
    uint32_t struct_size; /* sizeof(mitogen_plugin): members may be appended in minor versions */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t reserved; /* 0 */
    mitogen_str name;    /* of the transport, as in method = "NAME" */
    mitogen_str version; /* of the plugin */
    mitogen_str options; /* a JSON Schema of an object: the options of the transport */
    /* Answers {"abi":[1,0],"options":{},"secrets":["NAME"],"child":{"argv":[]}} with {"plan":{}} or
     * {"error":{"key":"OPTION","message":"TEXT"}}. Called by one thread at a time. */
    int32_t (*plan)(mitogen_str request, mitogen_buf *reply);
} mitogen_plugin;

const mitogen_plugin *mitogen_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
