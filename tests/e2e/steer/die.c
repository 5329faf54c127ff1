/* SPDX-License-Identifier: GPL-2.0-only */
/* LD_PRELOAD: SIGKILL at the DIE_AT-th call that changes a directory or waits for the disk. */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>

int renameat(int old_directory, const char *old, int new_directory, const char *new);
int linkat(int old_directory, const char *old, int new_directory, const char *new, int flags);
int unlinkat(int directory, const char *name, int flags);
int fsync(int fd);
int fchmod(int fd, mode_t mode);

static void count_call(void)
{
	static int calls;
	const char *wanted = getenv("DIE_AT");

	if (wanted && ++calls == atoi(wanted))
		raise(SIGKILL);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int renameat(int old_directory, const char *old, int new_directory, const char *new)
{
	count_call();
	return NEXT(renameat)(old_directory, old, new_directory, new);
}

int linkat(int old_directory, const char *old, int new_directory, const char *new, int flags)
{
	count_call();
	return NEXT(linkat)(old_directory, old, new_directory, new, flags);
}

int unlinkat(int directory, const char *name, int flags)
{
	count_call();
	return NEXT(unlinkat)(directory, name, flags);
}

int fsync(int fd)
{
	count_call();
	return NEXT(fsync)(fd);
}

int mkdirat(int directory, const char *name, mode_t mode)
{
	count_call();
	return NEXT(mkdirat)(directory, name, mode);
}

int fchmod(int fd, mode_t mode)
{
	count_call();
	return NEXT(fchmod)(fd, mode);
}
