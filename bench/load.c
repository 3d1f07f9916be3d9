/* Creates and fills small tus uploads over keep-alive connections to 127.0.0.1, and counts.
 *
 *   load -p PORT -u PATH [-c connections] [-s size] [-w warm-up s] [-t measured s] [-n most uploads]
 *        [-k every k-th goes to the sample] [-o sample file] [-H "Name: value"]...
 *
 * One thread, epoll. Per upload: POST with Upload-Length, then one PATCH of the whole body to the Location answered.
 * Anything but 201 with a usable Location, and 204 with "Upload-Offset: SIZE", is an error, in the warm-up as well.
 * Uploads in flight at the end are finished, not counted. Prints one JSON object. The body of upload N is
 * byte i = (i * 131 + (i >> 8) * 17) & 255, with N as 8 bytes, little-endian, at every multiple of 512.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

enum { IN_SIZE = 16384, HEAD_SIZE = 2048, STAMP = 512, MOST_TIMES = 1 << 22, STATUSES = 600 };
enum state { IDLE, CREATING, FILLING };
enum { CUT = 0, MALFORMED = 1, BAD_LOCATION = 2, BAD_OFFSET = 3 }; /* counted beside real statuses */

struct conn {
    int fd;
    enum state state;
    uint64_t id, begun, asked;
    size_t out_len, out_sent, in_len;
    char path[HEAD_SIZE / 2];
    char in[IN_SIZE + 1];
    char *out;
};

struct times {
    uint32_t *us;
    size_t count;
};

static struct {
    int port, conns;
    size_t size;
    double warm, seconds;
    uint64_t most, every;
    const char *path;
    char extra[HEAD_SIZE / 2], host[32];
    FILE *sample;
} opt = {.conns = 32, .size = 4096, .warm = 1, .seconds = 5, .most = 1000000, .every = 7, .path = "/files"};

static struct times creates, patches, uploads;
static uint64_t next_id, total, errors[STATUSES], reconnects, measure_from, measure_to;
static int active, poller, shown;
static char post[HEAD_SIZE], *body;
static size_t post_len;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void note(struct times *t, uint64_t from, uint64_t to) {
    if (to >= measure_from && to < measure_to && t->count < MOST_TIMES) t->us[t->count++] = (uint32_t)((to - from) / 1000);
}

static void fail(struct conn *c, int status) {
    errors[status < STATUSES ? status : MALFORMED]++;
    if (shown++ < 3) fprintf(stderr, "error %d on %s: %.400s\n", status, c->state == CREATING ? "POST" : "PATCH", c->in);
}

/* ---- sending */

static void flush_out(struct conn *c) {
    while (c->out_sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0) return; /* full: the next edge continues; broken: the next recv tells */
        c->out_sent += (size_t)n;
    }
}

static void ask(struct conn *c, enum state state) {
    c->state = state;
    c->out_sent = 0;
    c->in_len = 0;
    c->asked = now_ns();
    flush_out(c);
}

static void start_upload(struct conn *c) {
    if (now_ns() >= measure_to || next_id >= opt.most) {
        c->state = IDLE;
        active--;
        return;
    }
    c->id = next_id++;
    memcpy(c->out, post, post_len);
    c->out_len = post_len;
    ask(c, CREATING);
    c->begun = c->asked;
}

static void start_patch(struct conn *c) {
    int head = snprintf(c->out, HEAD_SIZE,
                        "PATCH %s HTTP/1.1\r\nHost: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
                        "Content-Type: application/offset+octet-stream\r\nContent-Length: %zu\r\n%s\r\n",
                        c->path, opt.host, opt.size, opt.extra);
    char *to = c->out + head;
    memcpy(to, body, opt.size);
    for (size_t at = 0; at + sizeof c->id <= opt.size; at += STAMP) memcpy(to + at, &c->id, sizeof c->id);
    c->out_len = (size_t)head + opt.size;
    ask(c, FILLING);
}

static void open_conn(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &want) < 0) die("epoll_ctl");
}

static void reopen(struct conn *c) {
    close(c->fd);
    reconnects++;
    open_conn(c);
}

/* ---- receiving */

/* Keeps the path of a Location that is absolute, or relative to the server or to the folder asked. 0: unusable. */
static int keep_location(struct conn *c, const struct answer *a) {
    const char *at = a->location, *end = at + a->location_len, *scheme;
    int folder = 0;
    if (!at || !a->location_len) return 0;
    if ((scheme = memmem(at, a->location_len, "://", 3))) {
        at = scheme + 3;
        if (strncmp(at, opt.host, strlen(opt.host)) != 0) return 0;
        at += strlen(opt.host);
    } else if (*at != '/') {
        folder = (int)(strrchr(opt.path, '/') - opt.path) + 1;
    }
    if (!folder && *at != '/') return 0;
    int n = snprintf(c->path, sizeof c->path, "%.*s%.*s", folder, opt.path, (int)(end - at), at);
    return n > 0 && (size_t)n < sizeof c->path;
}

static void created(struct conn *c, const struct answer *a) {
    int usable = keep_location(c, a);
    note(&creates, c->asked, now_ns());
    if (a->status != 201) fail(c, a->status);
    else if (!usable) fail(c, BAD_LOCATION);
    if (a->closing) reopen(c);
    if (a->status == 201 && usable) start_patch(c);
    else start_upload(c);
}

static void filled(struct conn *c, const struct answer *a) {
    uint64_t now = now_ns();
    if (a->status != 204) {
        fail(c, a->status);
    } else if (a->offset != (long)opt.size) {
        fail(c, BAD_OFFSET);
    } else {
        total++;
        note(&patches, c->asked, now);
        note(&uploads, c->begun, now);
        if (opt.sample && c->id % opt.every == 0) fprintf(opt.sample, "%llu %s\n", (unsigned long long)c->id, c->path);
    }
    if (a->closing) reopen(c);
    start_upload(c);
}

static void lost(struct conn *c, int why) {
    c->in[c->in_len] = 0;
    fail(c, why);
    reopen(c);
    start_upload(c);
}

static void readable(struct conn *c) {
    struct answer a;
    for (;;) {
        size_t room = IN_SIZE - c->in_len;
        ssize_t n = room ? recv(c->fd, c->in + c->in_len, room, 0) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) { /* also: an answer larger than the buffer */
            lost(c, CUT);
            return;
        }
        c->in_len += (size_t)n;
        c->in[c->in_len] = 0;
        int whole;
        while ((whole = parse(c->in, c->in_len, &a)) == 1 && a.status < 200) { /* an interim answer: drop it */
            memmove(c->in, c->in + a.end, c->in_len - a.end + 1);
            c->in_len -= a.end;
        }
        if (whole < 0) lost(c, MALFORMED);
        else if (whole) c->state == CREATING ? created(c, &a) : filled(c, &a);
        if (whole) return; /* else read on: an end of the connection may have come in the same edge */
    }
}

/* ---- the run */

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, struct times *t) {
    static const double at[] = {0.5, 0.9, 0.99, 1};
    static const char *const label[] = {"p50", "p90", "p99", "max"};
    qsort(t->us, t->count, sizeof *t->us, by_size);
    printf(", \"%s_us\": {", name);
    for (int i = 0; i < 4; i++) {
        size_t k = (size_t)(at[i] * (double)t->count);
        printf("%s\"%s\": %u", i ? ", " : "", label[i], t->count ? t->us[k < t->count ? k : t->count - 1] : 0);
    }
    printf("}");
}

static void print_result(double cpu, int unfinished) {
    static const char *const special[] = {"cut", "malformed", "bad-location", "bad-offset"};
    const char *comma = "";
    double seconds = measure_to > measure_from ? (double)(measure_to - measure_from) / 1e9 : 0;
    printf("{\"uploads\": %zu, \"seconds\": %.6f, \"uploads_per_s\": %.1f, \"cpu_s\": %.6f, \"total\": %llu, "
           "\"total_cpu_s\": %.6f, \"reconnects\": %llu, \"unfinished\": %d, \"errors\": {",
           uploads.count, seconds, seconds > 0 ? (double)uploads.count / seconds : 0, cpu, (unsigned long long)total,
           cpu_seconds(), (unsigned long long)reconnects, unfinished);
    for (int s = 0; s < STATUSES; s++) {
        if (!errors[s]) continue;
        if (s < 4) printf("%s\"%s\": %llu", comma, special[s], (unsigned long long)errors[s]);
        else printf("%s\"%d\": %llu", comma, s, (unsigned long long)errors[s]);
        comma = ", ";
    }
    printf("}");
    print_times("create", &creates);
    print_times("patch", &patches);
    print_times("upload", &uploads);
    printf("}\n");
}

static void run(void) {
    struct epoll_event events[256];
    double cpu_from = -1, cpu_to = -1;
    while (active > 0) {
        int n = epoll_wait(poller, events, 256, 100);
        uint64_t now = now_ns();
        if (cpu_from < 0 && now >= measure_from) cpu_from = cpu_seconds();
        if (cpu_to < 0 && now >= measure_to) cpu_to = cpu_seconds();
        if (now > measure_to + 10000000000u) break; /* what is unanswered 10 s after the end stays so */
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->out_sent < c->out_len) flush_out(c);
            if (c->state != IDLE && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        }
    }
    if (cpu_to < 0) { /* the limit on uploads ended it early */
        measure_to = now_ns();
        cpu_to = cpu_seconds();
    }
    print_result(cpu_to - (cpu_from < 0 ? 0 : cpu_from), active);
}

static void prepare(void) {
    struct times *all[] = {&creates, &patches, &uploads};
    for (int i = 0; i < 3; i++)
        if (!(all[i]->us = malloc(MOST_TIMES * sizeof(uint32_t)))) die("malloc");
    if (!(body = malloc(opt.size + 1))) die("malloc");
    for (size_t i = 0; i < opt.size; i++) body[i] = (char)((i * 131 + (i >> 8) * 17) & 255);
    snprintf(opt.host, sizeof opt.host, "127.0.0.1:%d", opt.port);
    post_len = (size_t)snprintf(post, sizeof post,
                                "POST %s HTTP/1.1\r\nHost: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %zu\r\n"
                                "Content-Length: 0\r\n%s\r\n",
                                opt.path, opt.host, opt.size, opt.extra);
    if ((poller = epoll_create1(0)) < 0) die("epoll_create1");
}

static void options(int argc, char **argv) {
    for (int o; (o = getopt(argc, argv, "p:u:c:s:w:t:n:k:o:H:")) != -1;) {
        size_t used = strlen(opt.extra);
        if (o == 'p') opt.port = atoi(optarg);
        else if (o == 'u') opt.path = optarg;
        else if (o == 'c') opt.conns = atoi(optarg);
        else if (o == 's') opt.size = strtoul(optarg, NULL, 10);
        else if (o == 'w') opt.warm = atof(optarg);
        else if (o == 't') opt.seconds = atof(optarg);
        else if (o == 'n') opt.most = strtoull(optarg, NULL, 10);
        else if (o == 'k') opt.every = strtoull(optarg, NULL, 10);
        else if (o == 'o' && !(opt.sample = fopen(optarg, "w"))) die(optarg);
        else if (o == 'H') snprintf(opt.extra + used, sizeof opt.extra - used, "%s\r\n", optarg);
        else if (o == '?') exit(2);
    }
    if (opt.port <= 0 || opt.conns < 1 || opt.every < 1 || opt.path[0] != '/' || strlen(opt.path) > 256) {
        fprintf(stderr, "usage: load -p PORT -u PATH [-c N] [-s BYTES] [-w S] [-t S] [-n N] [-k N] [-o FILE] [-H LINE]\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    options(argc, argv);
    prepare();
    struct conn *conns = calloc((size_t)opt.conns, sizeof *conns);
    if (!conns) die("calloc");
    measure_from = now_ns() + (uint64_t)(opt.warm * 1e9);
    measure_to = measure_from + (uint64_t)(opt.seconds * 1e9);
    active = opt.conns;
    for (int i = 0; i < opt.conns; i++) {
        if (!(conns[i].out = malloc(HEAD_SIZE + opt.size))) die("malloc");
        open_conn(&conns[i]);
    }
    for (int i = 0; i < opt.conns; i++) start_upload(&conns[i]);
    run();
    if (opt.sample) fclose(opt.sample);
    return 0;
}
