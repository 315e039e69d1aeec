/*
 * Starts programs for a worker. A process keeps the memory peak of the image that exec replaces, so
 * a child of the worker itself would report the worker's; this one is smaller than any program.
 * Its children are the worker's: CLONE_PARENT makes them siblings, so the worker waits for them.
 *
 * Descriptor 3: requests, as many bytes as the long before them says. These are offsets within the
 * request, as longs: folder, output, path, arguments up to a 0, environment up to a 0; then the
 * strings that they point to. Descriptor 4: for each of them an int, the pid of the program or what
 * is wrong, negative. Descriptor 5: failures, of programs that were promised a pid. It ends when 3
 * does.
 *
 * Freestanding: no library, no start files. Linux on x86-64 and aarch64.
 */

/* Numbers of the calls, which differ, and constants, which do not. */
#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, MMAP = 9, MUNMAP = 11, GETPID = 39, CLONE = 56 };
enum { EXECVE = 59, FCNTL = 72, CHDIR = 80, SETSID = 112, EXIT_GROUP = 231, OPENAT = 257 };
enum { DUP3 = 292, CLOSE_RANGE = 436 };
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, CLOSE = 57, MMAP = 222, MUNMAP = 215, GETPID = 172, CLONE = 220 };
enum { EXECVE = 221, FCNTL = 25, CHDIR = 49, SETSID = 157, EXIT_GROUP = 94, OPENAT = 56 };
enum { DUP3 = 24, CLOSE_RANGE = 436 };
#endif
enum { AT_FDCWD = -100, EINTR = 4, SIGCHLD = 17 };
enum { O_WRONLY = 1, O_CREAT = 0100, O_TRUNC = 01000 };
enum { F_SETFD = 2, FD_CLOEXEC = 1 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20 };
enum { CLONE_PARENT = 0x8000 };
enum { REQUESTS = 3, REPLIES = 4, FAILURES = 5 };

/* What failed, as in launcher.ts. */
enum step { IN_FOLDER, IN_OUTPUT, IN_EXEC };

struct failure {
  int pid, step, error;
};

static long call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
#endif
}

static _Noreturn void leave(int code) {
  for (;;) call(EXIT_GROUP, code, 0, 0, 0, 0, 0);
}

static void must(enum step step, long result) {
  if (result >= 0) return;
  struct failure failure = {(int)call(GETPID, 0, 0, 0, 0, 0, 0), step, (int)-result};
  call(WRITE, FAILURES, (long)&failure, sizeof failure, 0, 0, 0);
  leave(127);
}

static void take(char *into, long size) {
  while (size > 0) {
    long count = call(READ, REQUESTS, (long)into, size, 0, 0, 0);
    if (count == -EINTR) continue;
    if (count <= 0) leave(0);
    into += count;
    size -= count;
  }
}

static _Noreturn void become(char **words) {
  char *folder = words[0], *output = words[1], *path = words[2];
  char **arguments = words + 3, **environment = arguments;
  while (*environment++) {}
  /* Or the end of the launcher would not be noticed before that of a child that fails. */
  call(CLOSE, REQUESTS, 0, 0, 0, 0, 0);
  call(CLOSE, REPLIES, 0, 0, 0, 0, 0);
  call(SETSID, 0, 0, 0, 0, 0, 0); /* cannot fail: a new process leads no group */
  must(IN_FOLDER, call(CHDIR, (long)folder, 0, 0, 0, 0, 0));
  long fd = call(OPENAT, AT_FDCWD, (long)output, O_WRONLY | O_CREAT | O_TRUNC, 0600, 0, 0);
  must(IN_OUTPUT, fd);
  call(DUP3, fd, 1, 0, 0, 0, 0);
  call(DUP3, fd, 2, 0, 0, 0, 0);
  call(CLOSE, fd, 0, 0, 0, 0, 0);
  must(IN_EXEC, call(EXECVE, (long)path, (long)arguments, (long)environment, 0, 0, 0));
  leave(127);
}

/* Turns offsets into addresses, up to the second 0. */
static void point(char **words, char *base) {
  for (int ends = 0; ends < 2; words++) {
    if (*words) *words += (long)base;
    else ends++;
  }
}

_Noreturn void _start(void) {
  call(FCNTL, FAILURES, F_SETFD, FD_CLOEXEC, 0, 0, 0);
  /* What the worker itself was left by who started it; before Linux 5.9 tasks get it too. */
  call(CLOSE_RANGE, FAILURES + 1, -1, 0, 0, 0, 0);
  for (;;) {
    long size;
    take((char *)&size, sizeof size);
    char *request = (char *)call(MMAP, 0, size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((unsigned long)request > -4096ul) leave(2);
    take(request, size);
    point((char **)request, request);
    /* As fork, and not as vfork: the worker need not wait for exec. */
    int pid = (int)call(CLONE, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0);
    if (pid == 0) become((char **)request);
    if (call(WRITE, REPLIES, (long)&pid, sizeof pid, 0, 0, 0) != sizeof pid) leave(1);
    call(MUNMAP, (long)request, size, 0, 0, 0, 0);
  }
}
