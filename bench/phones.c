/* A shop's phones and a backend, as load for `bench/run`. One thread that waits for many sockets: C, because ten thousand
 * streams and their heartbeats must cost so little here that what is measured is the server.
 *
 *   phones make PORT KEY COUNT FILE                    makes simulated devices; FILE has a line "device token" of each
 *   phones watch PORT KEY FILE COUNT RATE SECONDS      opens a stream for each of the first COUNT devices and says how
 *                                                      long that took; after a line on its input posts RATE sessions a
 *                                                      second to devices by chance; prints JSON
 *   phones sink                                        receives callbacks; says its port. Answers nothing before a line
 *                                                      with a number comes, then everything; says how long so many took
 *
 * A session's time begins when it was due to be posted, not when a connection was free to post it: a server that stalls
 * makes all that wait behind late, too.
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
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
  TEXT = 64, TOKEN = 128, BUFFER = 4096, OPENING_MAX = 512, MAKERS = 32, POSTERS = 16, SINK_BUFFER = 8192,
  SAMPLES = 1 << 17, STRAGGLER_SECONDS = 10
};

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "phones: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
  exit(1);
}

static void check(int ok, const char *what) {
  if (!ok) fail(what, strerror(errno));
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Connections */

enum kind { INPUT, TIMER, PHONE, MAKER, POSTER, LISTENER, CALLER };

struct connection {
  enum kind kind;
  int socket, index, used, is_begun, is_busy, capacity;
  int64_t due_ns;
  char *buffer;
};

static int poller, port;
static const char *key;

static void watch(struct connection *connection, int socket, enum kind kind, int index, int capacity) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  *connection = (struct connection){.kind = kind, .socket = socket, .index = index, .capacity = capacity};
  connection->buffer = malloc((size_t)capacity + 1);
  check(connection->buffer != 0, "memory");
  check(epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event) == 0, "epoll_ctl");
}

static void dial(struct connection *connection, enum kind kind, int index) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int one = 1, socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(socket_fd >= 0, "socket (is the limit of open files too low?)");
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(connect(socket_fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
  setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(socket_fd, F_SETFL, O_NONBLOCK);
  watch(connection, socket_fd, kind, index, BUFFER);
}

static void say(struct connection *connection, const char *text, int count) {
  /* far below what a socket's buffer takes at once */
  check(write(connection->socket, text, (size_t)count) == count, "write");
}

/* Reads what there is. Returns 0 at the end. */
static int take(struct connection *connection) {
  ssize_t count = read(connection->socket, connection->buffer + connection->used,
                       (size_t)(connection->capacity - connection->used));
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
  if (count <= 0) return 0;
  connection->used += (int)count;
  connection->buffer[connection->used] = 0;
  return 1;
}

static void drop(struct connection *connection, int count) {
  memmove(connection->buffer, connection->buffer + count, (size_t)(connection->used - count));
  connection->used -= count;
  connection->buffer[connection->used] = 0;
}

/* The bytes of a message with a length that is here whole, or 0. */
static int whole(const struct connection *connection) {
  char *end = strstr(connection->buffer, "\r\n\r\n"), *length = strcasestr(connection->buffer, "content-length:");
  int bytes = end ? (int)(end - connection->buffer) + 4 : 0;
  if (!end) return 0;
  if (length && length < end) bytes += atoi(length + 15);
  return bytes <= connection->used ? bytes : 0;
}

static void copy_member(const char *json, const char *name, char *into, int capacity) {
  char wanted[TEXT];
  snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
  const char *start = strstr(json, wanted);
  if (!start) fail("an answer has no member", name);
  start += strlen(wanted);
  int count = (int)strcspn(start, "\"");
  if (count >= capacity) fail("a member is too long", name);
  memcpy(into, start, (size_t)count);
  into[count] = 0;
}

static void post(struct connection *connection, const char *path, const char *body) {
  char text[BUFFER];
  int count = snprintf(text, sizeof text,
      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\n"
      "Content-Length: %zu\r\n\r\n%s", path, port, key, strlen(body), body);
  say(connection, text, count);
}

/* Devices */

struct device {
  char id[TEXT], token[TOKEN];
};

static struct device *devices;
static int device_count;

static void read_devices(const char *path, int count) {
  FILE *file = fopen(path, "r");
  check(file != 0, path);
  devices = calloc((size_t)count, sizeof *devices);
  while (device_count < count && fscanf(file, "%63s %127s", devices[device_count].id, devices[device_count].token) == 2)
    device_count++;
  fclose(file);
  if (device_count < count) fail("there are too few devices in", path);
}

static void make_next(struct connection *maker, int *next, int count) {
  char body[TEXT];
  if (*next >= count) return;
  maker->is_busy = 1;
  maker->index = *next;
  snprintf(body, sizeof body, "{\"name\":\"Till %d\"}", (*next)++);
  post(maker, "/ipp/v1/dev/devices", body);
}

static int make(int count, const char *path) {
  struct connection makers[MAKERS];
  struct epoll_event events[MAKERS];
  int next = 0, made = 0;
  devices = calloc((size_t)count, sizeof *devices);
  for (int i = 0; i < MAKERS; i++) {
    dial(&makers[i], MAKER, i);
    make_next(&makers[i], &next, count);
  }
  while (made < count) {
    int found = epoll_wait(poller, events, MAKERS, 60000);
    if (found == 0) fail("no answer within a minute", 0);
    for (int i = 0; i < found; i++) {
      struct connection *maker = events[i].data.ptr;
      if (!take(maker)) fail("the server closed a connection", 0);
      int bytes = whole(maker);
      if (!bytes) continue;
      if (strncmp(maker->buffer, "HTTP/1.1 201 ", 13) != 0) fail("no device", maker->buffer);
      copy_member(maker->buffer, "device_id", devices[maker->index].id, TEXT);
      copy_member(maker->buffer, "bearer_token", devices[maker->index].token, TOKEN);
      drop(maker, bytes);
      made++;
      make_next(maker, &next, count);
    }
  }
  FILE *file = fopen(path, "w");
  check(file != 0, path);
  for (int i = 0; i < count; i++) fprintf(file, "%s %s\n", devices[i].id, devices[i].token);
  check(fclose(file) == 0, path);
  return 0;
}

/* What became of a session, found by its id: the answer and the event may come in either order. */

struct sample {
  char id[40];
  int64_t due_ns, answered_ns, seen_ns;
};

static struct sample *samples;
static int complete;

static struct sample *sample(const char *id) {
  uint64_t hash = 14695981039346656037u;
  for (const char *byte = id; *byte; byte++) hash = (hash ^ (uint64_t)*byte) * 1099511628211u;
  for (uint64_t at = hash;; at++) {
    struct sample *found = &samples[at & (SAMPLES - 1)];
    if (!found->id[0]) snprintf(found->id, sizeof found->id, "%s", id);
    if (strcmp(found->id, id) == 0) return found;
  }
}

static int by_value(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return a < b ? -1 : a > b;
}

static void print_shares(const char *name, int64_t (*value)(const struct sample *)) {
  int64_t *values = malloc((size_t)complete * sizeof *values);
  int count = 0;
  for (int i = 0; i < SAMPLES; i++)
    if (samples[i].due_ns && samples[i].seen_ns) values[count++] = value(&samples[i]);
  qsort(values, (size_t)count, sizeof *values, by_value);
  printf(", \"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, (double)values[count / 2] / 1000,
         (double)values[count * 99 / 100] / 1000, (double)values[count - 1] / 1000);
  free(values);
}

static int64_t to_phone(const struct sample *it) { return it->seen_ns - it->due_ns; }
static int64_t to_answer(const struct sample *it) { return it->answered_ns - it->due_ns; }
static int64_t answer_to_phone(const struct sample *it) { return it->seen_ns - it->answered_ns; }

/* Streams */

static int opened, opening, phone_next;

static void open_streams(struct connection *phones, int count) {
  char text[BUFFER];
  while (opening < OPENING_MAX && phone_next < count) {
    struct connection *phone = &phones[phone_next];
    dial(phone, PHONE, phone_next);
    int bytes = snprintf(text, sizeof text,
        "GET /pos/v1/events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\n", port,
        devices[phone_next].token);
    say(phone, text, bytes);
    opening++;
    phone_next++;
  }
}

/* Reads frames; a chunk's size stands between them and does not matter. */
static void read_stream(struct connection *phone) {
  if (!take(phone)) fail("a stream ended", 0);
  int64_t now = now_ns();
  if (!phone->is_begun) {
    char *end = strstr(phone->buffer, "\r\n\r\n");
    if (!end) return;
    if (strncmp(phone->buffer, "HTTP/1.1 200 ", 13) != 0) fail("no stream", phone->buffer);
    phone->is_begun = 1;
    drop(phone, (int)(end - phone->buffer) + 4);
  }
  char *end;
  while ((end = strstr(phone->buffer, "\n\n"))) {
    *end = 0;
    if (strstr(phone->buffer, "event: ready\n")) {
      opened++;
      opening--;
    } else if (strstr(phone->buffer, "event: session.created\n")) {
      char id[40];
      copy_member(phone->buffer, "session_id", id, sizeof id);
      struct sample *it = sample(id);
      if (it->seen_ns) fail("an event came twice", id);
      it->seen_ns = now;
      if (it->answered_ns) complete++;
    }
    drop(phone, (int)(end - phone->buffer) + 2);
  }
  if (phone->used == phone->capacity) fail("a frame is too long", 0);
}

/* The backend */

static uint64_t random_state;
static uint64_t random_word(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static void post_session(struct connection *poster, int64_t due_ns) {
  char body[1024];
  snprintf(body, sizeof body,
      "{\"device_id\":\"%s\",\"order_amount\":10000,\"purchase_currency\":\"SEK\",\"order_items\":[{\"name\":\"T-Shirt\","
      "\"quantity\":2,\"unit_price\":5000,\"total_amount\":10000,\"tax_rate\":2500,\"total_tax_amount\":2000}]}",
      devices[random_word() % (uint64_t)device_count].id);
  poster->is_busy = 1;
  poster->due_ns = due_ns;
  post(poster, "/ipp/v1/sessions", body);
}

static void read_answer(struct connection *poster) {
  char id[40];
  if (!take(poster)) fail("the server closed a connection", 0);
  int64_t now = now_ns();
  int bytes = whole(poster);
  if (!bytes) return;
  if (strncmp(poster->buffer, "HTTP/1.1 200 ", 13) != 0) fail("no session", poster->buffer);
  copy_member(poster->buffer, "session_id", id, sizeof id);
  struct sample *it = sample(id);
  it->due_ns = poster->due_ns;
  it->answered_ns = now;
  if (it->seen_ns) complete++;
  drop(poster, bytes);
  poster->is_busy = 0;
}

static int watch_phones(int count, double rate, double seconds) {
  struct connection *phones = calloc((size_t)count, sizeof *phones), posters[POSTERS], input, timer;
  struct epoll_event events[256];
  int64_t start = now_ns(), step_ns = (int64_t)(1e9 / rate), first_ns = 0, wanted = (int64_t)(rate * seconds), sent = 0;
  int is_told = 0, turn = 0;
  samples = calloc(SAMPLES, sizeof *samples);
  if (wanted > SAMPLES / 2) fail("too many sessions for the table of samples", 0);
  random_state = (uint64_t)start | 1;
  int timer_socket = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  check(timer_socket >= 0, "timerfd_create");
  watch(&timer, timer_socket, TIMER, 0, 8);
  open_streams(phones, count);
  while (complete < wanted || !is_told) {
    int found = epoll_wait(poller, events, 256, 60000);
    if (found == 0 && !is_told) fail("nothing came for a minute", 0);
    if (first_ns && now_ns() > first_ns + step_ns * wanted + STRAGGLER_SECONDS * 1000000000ll) break;
    for (int i = 0; i < found; i++) {
      struct connection *connection = events[i].data.ptr;
      uint64_t expirations;
      switch (connection->kind) {
      case PHONE: read_stream(connection); break;
      case POSTER: read_answer(connection); break;
      case TIMER: if (read(timer.socket, &expirations, sizeof expirations) < 0) check(errno == EAGAIN, "timer"); break;
      case INPUT: {
        if (!take(&input)) fail("nobody told to begin", 0);
        epoll_ctl(poller, EPOLL_CTL_DEL, input.socket, 0);
        for (int poster = 0; poster < POSTERS; poster++) dial(&posters[poster], POSTER, poster);
        struct itimerspec every = {{0, step_ns}, {0, step_ns}};
        check(timerfd_settime(timer.socket, 0, &every, 0) == 0, "timerfd_settime");
        first_ns = now_ns() + step_ns;
        break;
      }
      default: fail("an unexpected connection", 0);
      }
    }
    open_streams(phones, count);
    if (opened == count && !is_told) {
      is_told = 1;
      printf("{\"opened\": %d, \"seconds\": %.3f}\n", count, (double)(now_ns() - start) / 1e9);
      fflush(stdout);
      watch(&input, 0, INPUT, 0, TEXT);
    }
    /* in turn: one that were never used would be closed for it */
    for (int i = 0; first_ns && i < POSTERS && sent < wanted && first_ns + step_ns * sent <= now_ns(); i++) {
      turn = (turn + 1) % POSTERS;
      if (!posters[turn].is_busy) post_session(&posters[turn], first_ns + step_ns * sent++);
    }
  }
  if (complete < wanted) fail("sessions that no phone was told of, or no answer", 0);
  printf("{\"sessions\": %d", complete);
  print_shares("to_phone_us", to_phone);
  print_shares("to_answer_us", to_answer);
  print_shares("answer_to_phone_us", answer_to_phone);
  printf("}\n");
  return 0;
}

/* Callbacks */

static int is_answering;

static int answer_all(struct connection *caller) {
  static const char acknowledged[] = "HTTP/1.1 204 No Content\r\n\r\n";
  int answered = 0, bytes;
  while (is_answering && (bytes = whole(caller))) {
    drop(caller, bytes);
    say(caller, acknowledged, sizeof acknowledged - 1);
    answered++;
  }
  return answered;
}

static int sink(void) {
  static struct connection *callers[1 << 16];
  struct connection listener, input;
  struct epoll_event events[256];
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  int64_t start = 0, wanted = 0, answered = 0;
  int one = 1, socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(bind(socket_fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  check(listen(socket_fd, 1024) == 0, "listen");
  check(getsockname(socket_fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
  watch(&listener, socket_fd, LISTENER, 0, 8);
  watch(&input, 0, INPUT, 0, TEXT);
  printf("{\"port\": %d}\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int found = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < found; i++) {
      struct connection *connection = events[i].data.ptr;
      int accepted;
      switch (connection->kind) {
      case LISTENER:
        while ((accepted = accept4(socket_fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
          setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          struct connection *caller = malloc(sizeof *caller);
          watch(caller, accepted, CALLER, accepted, SINK_BUFFER);
          if (accepted < 1 << 16) callers[accepted] = caller;
        }
        break;
      case INPUT:
        if (!take(&input)) return 0;
        wanted = atoll(input.buffer);
        is_answering = 1;
        input.used = 0;
        answered = 0;
        start = now_ns();
        for (int held = 0; held < 1 << 16; held++)
          if (callers[held]) answered += answer_all(callers[held]);
        break;
      case CALLER:
        if (!take(connection)) {
          callers[connection->index] = 0;
          close(connection->socket);
          free(connection->buffer);
          free(connection);
          break;
        }
        answered += answer_all(connection);
        break;
      default: fail("an unexpected connection", 0);
      }
      if (wanted && answered >= wanted) {
        printf("{\"callbacks\": %lld, \"seconds\": %.6f}\n", (long long)answered, (double)(now_ns() - start) / 1e9);
        fflush(stdout);
        wanted = 0;
      }
    }
  }
}

int main(int argc, char **argv) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  poller = epoll_create1(EPOLL_CLOEXEC);
  check(poller >= 0, "epoll_create1");
  if (argc == 2 && strcmp(argv[1], "sink") == 0) return sink();
  if (argc == 6 && strcmp(argv[1], "make") == 0) {
    port = atoi(argv[2]);
    key = argv[3];
    return make(atoi(argv[4]), argv[5]);
  }
  if (argc == 8 && strcmp(argv[1], "watch") == 0) {
    port = atoi(argv[2]);
    key = argv[3];
    read_devices(argv[4], atoi(argv[5]));
    return watch_phones(atoi(argv[5]), atof(argv[6]), atof(argv[7]));
  }
  fprintf(stderr, "usage: phones make PORT KEY COUNT FILE | watch PORT KEY FILE COUNT RATE SECONDS | sink\n");
  return 2;
}
