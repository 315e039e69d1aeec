/* Workloads whose use of memory and CPU time is known. Each process prints its own CPU time in
 * milliseconds at its end, a line each.
 *
 *   hold MB MS            one process with MB of memory for MS
 *   tree N MB MS          N children with MB each at the same time
 *   threads N S           N threads, each S seconds of CPU time
 *   away MB S FLAG        a grandchild in a session of its own with MB and S seconds of CPU time;
 *                         FLAG is a file by which it says that it is done
 *   shared N MB MS        N children that all read MB of one shared map
 *   copied N MB MS        N children that have MB of their parent, and write to none of it
 *   burst MB MS           MB of memory within MS, then wait to be killed
 *   disk DIR N KB MS      N files of KB in DIR, one after the other, within MS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left)) {}
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static char *maps[256];
static long sizes[256];
static int map_count;

static char *map(long mb, int kind) {
  char *at = mmap(0, mb << 20, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
  maps[map_count] = at;
  sizes[map_count++] = mb << 20;
  return at;
}

static char *hold(long mb) { return memset(map(mb, MAP_PRIVATE), 1, mb << 20); }

static void tell(void) {
  char line[64];
  /* Giving memory back takes time too, and at the exit it could not be told. */
  for (int i = 0; i < map_count; i++) munmap(maps[i], sizes[i]);
  int size = sprintf(line, "%.3f\n", seconds(CLOCK_PROCESS_CPUTIME_ID) * 1000);
  /* Appended in one call, so that the lines of several processes do not mix. */
  if (write(1, line, size) != size) _exit(1);
}

static void *burn(void *for_seconds) {
  while (seconds(CLOCK_THREAD_CPUTIME_ID) < *(double *)for_seconds) {}
  return 0;
}

/* Children that have what they should have. */
static volatile int *ready;
static int awaited;

/* All have it at the same time, however busy the machine is. */
static void wait_for_all(long ms) {
  __sync_fetch_and_add(ready, 1);
  while (*ready < awaited) wait_ms(5);
  wait_ms(ms);
}

static void children(int count, void (*work)(char **), char **args) {
  ready = (int *)map(1, MAP_SHARED);
  awaited = count;
  for (int i = 0; i < count; i++) {
    if (fork() == 0) {
      work(args);
      tell();
      _exit(0);
    }
  }
  while (wait(0) > 0) {}
}

static char *pages;

static void tree(char **args) {
  hold(atol(args[1]));
  wait_for_all(atol(args[2]));
}

static void reader(char **args) {
  volatile char sum = 0;
  for (long i = 0; i < atol(args[1]) << 20; i += 4096) sum += pages[i];
  wait_for_all(atol(args[2]));
}

static void away(char **args) {
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    double for_seconds = atof(args[1]);
    hold(atol(args[0]));
    while (seconds(CLOCK_PROCESS_CPUTIME_ID) < for_seconds) {}
    tell();
    close(open(args[2], O_CREAT | O_WRONLY, 0600));
    _exit(0);
  }
  while (access(args[2], F_OK) != 0) wait_ms(5);
  wait_ms(50);
}

static void burst(long mb, long ms) {
  double from = seconds(CLOCK_MONOTONIC);
  for (long done = 0; done < mb; done += 10) {
    hold(10);
    long early = done * ms / mb - (long)((seconds(CLOCK_MONOTONIC) - from) * 1000);
    if (early > 0) wait_ms(early);
  }
  wait_ms(60000);
}

static void disk(char **args) {
  int count = atoi(args[1]);
  long bytes = atol(args[2]) << 10;
  char *data = calloc(1, bytes), path[4096];
  for (int i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/%d", args[0], i);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (write(fd, data, bytes) != bytes) _exit(1);
    close(fd);
    wait_ms(atol(args[3]) / count);
  }
}

int main(int count, char **words) {
  char *what = words[1], **args = words + 2;
  if (count < 4) return 2;
  if (!strcmp(what, "hold")) {
    hold(atol(args[0]));
    wait_ms(atol(args[1]));
  } else if (!strcmp(what, "tree")) {
    children(atoi(args[0]), tree, args);
  } else if (!strcmp(what, "threads")) {
    pthread_t threads[64];
    double for_seconds = atof(args[1]);
    for (int i = 0; i < atoi(args[0]); i++) pthread_create(threads + i, 0, burn, &for_seconds);
    for (int i = 0; i < atoi(args[0]); i++) pthread_join(threads[i], 0);
  } else if (!strcmp(what, "away")) {
    away(args);
  } else if (!strcmp(what, "shared") || !strcmp(what, "copied")) {
    pages = map(atol(args[1]), *what == 's' ? MAP_SHARED : MAP_PRIVATE);
    memset(pages, 1, atol(args[1]) << 20);
    children(atoi(args[0]), reader, args);
  } else if (!strcmp(what, "burst")) {
    burst(atol(args[0]), atol(args[1]));
  } else if (!strcmp(what, "disk")) {
    disk(args);
  }
  tell();
  return 0;
}
