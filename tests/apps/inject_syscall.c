/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * inject_syscall PID NUMBER [ARGUMENT…]: lets the process do a system call, as who has found a fault
 * in it would, and prints what it gave: 0 and more, or a negative errno. x86-64.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The first `syscall` instruction in the process's vDSO or C library. */
static unsigned long long find_instruction(pid_t pid)
{
	char path[64], line[512], permissions[8];
	unsigned long long from, to;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "r");
	if (!maps)
		fail(path);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx %7s", &from, &to, permissions) != 3 ||
		    permissions[2] != 'x' || !(strstr(line, "libc.so") || strstr(line, "[vdso]")))
			continue;
		for (unsigned long long at = from; at + 8 <= to; at += 7) {
			errno = 0;
			long word = ptrace(PTRACE_PEEKTEXT, pid, (void *)at, NULL);
			if (errno)
				break;
			for (int i = 0; i < 7; i++) {
				if (((uint64_t)word >> 8 * i & 0xffff) == 0x050f) {
					fclose(maps);
					return at + (unsigned)i;
				}
			}
		}
	}
	fclose(maps);
	fprintf(stderr, "no syscall instruction\n");
	exit(1);
}

static void wait_for_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
		fail("it does not stop");
}

int main(int argc, char **argv)
{
	struct user_regs_struct before, during;
	unsigned long long arguments[6] = {0};

	if (argc < 3 || argc > 9)
		return 2;
	pid_t pid = (pid_t)atoi(argv[1]);
	for (int i = 3; i < argc; i++)
		arguments[i - 3] = strtoull(argv[i], NULL, 0);
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
		fail("attach");
	wait_for_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &before) < 0)
		fail("registers");
	during = before;
	during.rip = find_instruction(pid);
	during.rax = strtoull(argv[2], NULL, 0);
	during.orig_rax = (unsigned long long)-1; /* nothing to be restarted */
	during.rdi = arguments[0];
	during.rsi = arguments[1];
	during.rdx = arguments[2];
	during.r10 = arguments[3];
	during.r8 = arguments[4];
	during.r9 = arguments[5];
	if (ptrace(PTRACE_SETREGS, pid, NULL, &during) < 0 ||
	    ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
		fail("step");
	wait_for_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &during) < 0)
		fail("registers");
	printf("%lld\n", (long long)during.rax);
	if (ptrace(PTRACE_SETREGS, pid, NULL, &before) < 0 ||
	    ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0)
		fail("detach");
	return 0;
}
