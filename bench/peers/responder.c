/* The least a server can do: reads requests off keep-alive connections, answers POST with 201 and PATCH with 204.
 *
 *   responder      one thread, epoll, 127.0.0.1, a free port; prints "tus endpoint: URL"; ends with SIGTERM
 *
 * It keeps nothing. What the load client reaches against it is what the client can do on this machine.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROOM = 65536, MOST_FDS = 1024 };

static const char created[] =
    "HTTP/1.1 201 Created\r\nLocation: /files/0\r\nTus-Resumable: 1.0.0\r\nContent-Length: 0\r\n\r\n";
static char in[MOST_FDS][ROOM + 1];
static size_t used[MOST_FDS];

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* The size of the whole request at the start of the buffer, 0 when more must come; `body` is its Content-Length. */
static size_t whole(int fd, size_t *body) {
    const char *end = memmem(in[fd], used[fd], "\r\n\r\n", 4), *length;
    if (!end) return 0;
    size_t head = (size_t)(end - in[fd]) + 4;
    length = memmem(in[fd], head, "Content-Length: ", 16);
    *body = length ? strtoul(length + 16, NULL, 10) : 0;
    return head + *body <= used[fd] ? head + *body : 0;
}

static int answer(int fd, size_t body) {
    char filled[128];
    if (in[fd][1] == 'O') return send(fd, created, sizeof created - 1, MSG_NOSIGNAL) > 0;
    int n = snprintf(filled, sizeof filled, "HTTP/1.1 204 No Content\r\nUpload-Offset: %zu\r\n\r\n", body);
    return send(fd, filled, (size_t)n, MSG_NOSIGNAL) > 0;
}

static void readable(int fd) {
    ssize_t n = recv(fd, in[fd] + used[fd], ROOM - used[fd], 0);
    if (n <= 0) {
        close(fd);
        return;
    }
    used[fd] += (size_t)n;
    for (size_t size, body; (size = whole(fd, &body)) && answer(fd, body);) {
        memmove(in[fd], in[fd] + size, used[fd] - size);
        used[fd] -= size;
    }
}

static void watch(int poller, int fd) {
    struct epoll_event want = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || fd >= MOST_FDS || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want) < 0) die("watch");
    used[fd] = 0;
}

int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t at_len = sizeof at;
    int door = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0), yes = 1;
    struct epoll_event events[256];
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(door, (struct sockaddr *)&at, at_len) < 0 || listen(door, 128) < 0) die("listen");
    getsockname(door, (struct sockaddr *)&at, &at_len);
    printf("tus endpoint: http://127.0.0.1:%d/files\n", ntohs(at.sin_port));
    fflush(stdout);
    watch(poller, door);
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != door) {
                readable(events[i].data.fd);
                continue;
            }
            int fd = accept(door, NULL, NULL);
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            watch(poller, fd);
        }
    }
}
