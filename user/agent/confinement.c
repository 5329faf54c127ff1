/* SPDX-License-Identifier: GPL-2.0-only */
#include "agent/confinement.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"

struct capabilities {
	struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
};

static int get(struct capabilities *ret_capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, ret_capabilities->words) < 0 ? -errno : 0;
}

static int set(const struct capabilities *capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, capabilities->words) < 0 ? -errno : 0;
}

/* `keep` of what is permitted, as a set of bits. */
static int leave(struct capabilities *capabilities, uint64_t keep)
{
	for (size_t i = 0; i < ARRAY_LENGTH(capabilities->words); i++) {
		struct __user_cap_data_struct *word = &capabilities->words[i];

		word->permitted &= (uint32_t)(keep >> 32 * i);
		word->effective = word->permitted;
		word->inheritable = 0;
	}
	return set(capabilities);
}

static bool is_denied(int directory, const char *path)
{
	return faccessat(directory, path, R_OK, AT_EACCESS) < 0 && errno == EACCES;
}

/* A file, or a directory with all that is in it. */
static bool can_read(const char *path)
{
	struct dirent *entry;
	bool denied = is_denied(AT_FDCWD, path);
	DIR *directory = denied ? NULL : opendir(path);

	while (directory && !denied && (entry = readdir(directory)))
		denied = is_denied(dirfd(directory), entry->d_name);
	if (directory)
		closedir(directory);
	return !denied;
}

static bool can_read_manifests(const struct agent_options *options)
{
	for (size_t i = 0; i < options->path_count; i++) {
		if (!can_read(options->paths[i]))
			return false;
	}
	return true;
}

static uint64_t needed_capabilities(const struct agent_options *options)
{
	/* A reload may bring a Gateway's port below 1024. */
	uint64_t needed = UINT64_C(1) << CAP_NET_BIND_SERVICE;

	if (options->use_kernel)
		needed |= UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_PERFMON |
			  UINT64_C(1) << CAP_NET_ADMIN;
	return needed;
}

/* What a program that is executed could get; it takes a right of its own, which need not be there. */
static void narrow_bounding_set(uint64_t keep)
{
	for (int capability = 0; capability <= CAP_LAST_CAP; capability++) {
		if (!(keep >> capability & 1))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int confinement_drop_capabilities(const struct agent_options *options)
{
	const uint64_t reading = UINT64_C(1) << CAP_DAC_READ_SEARCH;
	uint64_t needed = needed_capabilities(options);
	struct capabilities capabilities, fewer;
	int error = get(&capabilities);

	narrow_bounding_set(needed | reading);
	if (error == 0)
		error = leave(&capabilities, needed | reading);
	/* Manifests that root may read only by this right are still to be read by reloads. */
	fewer = capabilities;
	fewer.words[0].effective &= (uint32_t)~reading;
	if (error == 0)
		error = set(&fewer);
	if (error == 0 && can_read_manifests(options))
		error = leave(&capabilities, needed);
	else if (error == 0)
		error = set(&capabilities);
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = -errno;
	if (error)
		log_error("rights not given up", log_errno(error));
	return error;
}

/* Of files and descriptors. */
static const int file_calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(splice),
	SCMP_SYS(tee),
	SCMP_SYS(sendfile),
	SCMP_SYS(pipe2),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(fcntl),
	SCMP_SYS(ioctl),
	SCMP_SYS(lseek),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(stat),
	SCMP_SYS(fstat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(chmod),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fadvise64),
	SCMP_SYS(flock),
	SCMP_SYS(umask),
	SCMP_SYS(getcwd),
	SCMP_SYS(memfd_create),
	SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),
};

/* Of sockets, but for socket(2) itself, and of waiting. */
static const int socket_calls[] = {
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(socketpair),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
};

/* Of the process, its threads, memory, signals and time. */
static const int process_calls[] = {
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mincore),
	SCMP_SYS(futex),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(membarrier),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrlimit),
	SCMP_SYS(prlimit64),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(capget),
	SCMP_SYS(prctl),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(signalfd4),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
};

static const int kernel_calls[] = {SCMP_SYS(bpf), SCMP_SYS(perf_event_open)};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return error;
}

/* Calls that depend on what they are to do. */
static int allow_parts(scmp_filter_ctx filter)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	static const int mappings[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	int error = 0;

	for (size_t i = 0; error == 0 && i < ARRAY_LENGTH(families); i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
					 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	/* Nothing that is written is run. */
	for (size_t i = 0; error == 0 && i < ARRAY_LENGTH(mappings); i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mappings[i], 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Threads, no processes. The C library takes clone(2) where it is said not to have clone3. */
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Signals to itself alone, such as abort(3). */
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
					 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return error;
}

static int load(scmp_filter_ctx filter, bool use_kernel)
{
	int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (error == 0)
		error = allow(filter, file_calls, ARRAY_LENGTH(file_calls));
	if (error == 0)
		error = allow(filter, socket_calls, ARRAY_LENGTH(socket_calls));
	if (error == 0)
		error = allow(filter, process_calls, ARRAY_LENGTH(process_calls));
	if (error == 0 && use_kernel)
		error = allow(filter, kernel_calls, ARRAY_LENGTH(kernel_calls));
	if (error == 0)
		error = allow_parts(filter);
	/* A search by halves: what each call of a request pays. */
	if (error == 0)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return error ? error : seccomp_load(filter);
}

/*
 * Sanitizers do what no agent does: they stop threads by ptrace(2), and run programs. gcc has macros
 * for them, clang features.
 */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

void confinement_filter_system_calls(const struct agent_options *options)
{
	if (options->without_seccomp || IS_SANITIZED) {
		log_warning("system calls are not filtered",
			    log_text("reason", IS_SANITIZED ? "sanitizer" : "--no-seccomp"));
		return;
	}
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = filter ? load(filter, options->use_kernel) : -ENOMEM;

	if (filter)
		seccomp_release(filter);
	if (error)
		log_warning("system calls are not filtered", log_errno(error));
	else
		log_debug("system calls are filtered");
}
