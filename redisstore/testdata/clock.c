// A clock that a test steps: gettimeofday is the machine's, and the milliseconds in the
// file that the environment variable TEST_CLOCK names. It is preloaded into Redis.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
	struct timespec now;
	char step[32] = "";
	long long us;
	int fd = open(getenv("TEST_CLOCK"), O_RDONLY);
	(void)tz;
	if (fd >= 0) {
		if (read(fd, step, sizeof step - 1) < 0) step[0] = 0;
		close(fd);
	}
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	us = now.tv_sec * 1000000LL + now.tv_nsec / 1000 + atoll(step) * 1000;
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}
