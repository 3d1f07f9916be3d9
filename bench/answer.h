/* Reads as much of an HTTP/1.1 answer as a load client needs. The buffer ends with a NUL after `len` bytes. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_BODY = 16384 };

struct answer {
    int status, closing, chunked;
    long length, offset;
    size_t end; /* of headers and body */
    const char *location;
    size_t location_len;
};

static int is(const char *line, size_t name_len, const char *name) {
    return strlen(name) == name_len && strncasecmp(line, name, name_len) == 0;
}

static void header(struct answer *a, const char *line, const char *end) {
    const char *colon = memchr(line, ':', (size_t)(end - line)), *value;
    if (!colon) return;
    size_t name_len = (size_t)(colon - line);
    for (value = colon + 1; value < end && *value == ' ';) value++;
    if (is(line, name_len, "content-length")) a->length = strtol(value, NULL, 10);
    else if (is(line, name_len, "upload-offset")) a->offset = strtol(value, NULL, 10);
    else if (is(line, name_len, "transfer-encoding")) a->chunked = 1;
    else if (is(line, name_len, "connection")) a->closing = strncasecmp(value, "close", 5) == 0;
    else if (is(line, name_len, "location")) {
        a->location = value;
        a->location_len = (size_t)(end - value);
    }
}

/* Where the chunked body that begins at `at` ends (no trailers); 0 when more must come. */
static size_t chunked_end(const char *in, size_t len, size_t at) {
    for (;;) {
        char *line_end = memmem(in + at, len - at, "\r\n", 2);
        if (!line_end) return 0;
        size_t size = strtoul(in + at, NULL, 16), data = (size_t)(line_end - in) + 2;
        if (size > MOST_BODY || data + size + 2 > len) return 0;
        at = data + size + 2;
        if (size == 0) return at;
    }
}

/* 1: a whole answer, 0: more must come, -1: this is not HTTP. */
static int parse(const char *in, size_t len, struct answer *a) {
    const char *end = memmem(in, len, "\r\n\r\n", 4), *line = in;
    *a = (struct answer){.length = -1, .offset = -1};
    if (!end) return 0;
    if (strncmp(in, "HTTP/1.", 7) != 0) return -1;
    a->status = atoi(in + 9);
    while ((line = memmem(line, (size_t)(end - line) + 2, "\r\n", 2)) && line < end) {
        line += 2;
        header(a, line, memmem(line, (size_t)(end - line) + 2, "\r\n", 2));
    }
    a->end = (size_t)(end - in) + 4;
    if (a->status < 200 || a->status == 204 || a->status == 304) return 1;
    if (a->chunked) return (a->end = chunked_end(in, len, a->end)) != 0;
    if (a->length < 0 || a->length > MOST_BODY) return -1;
    a->end += (size_t)a->length;
    return a->end <= len;
}

#endif
