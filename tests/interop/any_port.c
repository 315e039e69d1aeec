/*
 * Preloaded into a program that insists on its port: whatever it binds to, it gets a free one. What
 * it prints is not kept back, so that the port can be read at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static __attribute__((constructor)) void print_by_line(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
	struct sockaddr_in any;
	if(address->sa_family != AF_INET || length < sizeof(any)) return next(fd, address, length);
	memcpy(&any, address, sizeof(any));
	any.sin_port = 0;
	return next(fd, (struct sockaddr *)&any, sizeof(any));
}
