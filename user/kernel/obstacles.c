/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/obstacles.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/array.h"
#include "base/log.h"

#define BPFFS_ROOT "/sys/fs/bpf"

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

int obstacles_check_rights(struct buffer *missing)
{
	/* CAP_SYS_ADMIN stands for the two that were split off from it in Linux 5.8. */
	static const struct {
		const char *name;
		unsigned bit;
		bool part_of_sys_admin;
	} needed[] = {
		{"CAP_BPF", CAP_BPF, true},
		{"CAP_PERFMON", CAP_PERFMON, true},
		{"CAP_NET_ADMIN", CAP_NET_ADMIN, false},
	};
	uint64_t held = effective_capabilities();
	bool admin = held >> CAP_SYS_ADMIN & 1;
	int error = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(needed); i++) {
		if (held >> needed[i].bit & 1 || (admin && needed[i].part_of_sys_admin))
			continue;
		buffer_printf(missing, "%s%s", error ? ", " : "", needed[i].name);
		error = -EPERM;
	}
	return error;
}

/* The first line of a small file, without its end; false if it cannot be read. */
static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool good = file && fgets(line, (int)size, file);

	if (file)
		fclose(file);
	if (good)
		line[strcspn(line, "\n")] = '\0';
	return good;
}

static bool in_user_namespace(void)
{
	unsigned long long inside, outside, count;
	char line[128];

	if (access("/proc/self/uid_map", R_OK) != 0)
		return false;
	/* Empty until somebody maps users into a new namespace. */
	if (!read_line("/proc/self/uid_map", line, sizeof(line)) ||
	    sscanf(line, "%llu %llu %llu", &inside, &outside, &count) != 3)
		return true;
	return inside != 0 || outside != 0 || count != UINT32_MAX;
}

static bool under_seccomp(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	if (file)
		fclose(file);
	return mode != 0;
}

static void explain_permission(struct buffer *text)
{
	struct rlimit memory;
	char lockdown[128];

	if (in_user_namespace())
		buffer_append_text(
			text, "; this is a user namespace, the rights must be held outside of it");
	if (under_seccomp())
		buffer_append_text(text, "; a seccomp filter is set, it must allow bpf(2)");
	if (read_line("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown)) &&
	    strstr(lockdown, "[none]") == NULL)
		buffer_printf(text, "; kernel lockdown is on: %s", lockdown);
	if (getrlimit(RLIMIT_MEMLOCK, &memory) == 0 && memory.rlim_cur != RLIM_INFINITY)
		buffer_printf(
			text,
			"; RLIMIT_MEMLOCK is %llu bytes (kernels before 5.11 charge maps to it)",
			(unsigned long long)memory.rlim_cur);
}

void obstacles_explain(int error, struct buffer *text)
{
	buffer_append_text(text, strerror(error));
	if (error == ENOSYS)
		buffer_append_text(text, "; the kernel was built without CONFIG_BPF_SYSCALL");
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		buffer_append_text(text, "; no BTF of the kernel at /sys/kernel/btf/vmlinux "
					 "(CONFIG_DEBUG_INFO_BTF)");
	if (error == EPERM || error == EACCES)
		explain_permission(text);
}

static bool is_bpffs(const char *path)
{
	struct statfs status;

	return statfs(path, &status) == 0 && (unsigned long)status.f_type == BPF_FS_MAGIC;
}

int obstacles_ensure_bpffs(const char *directory, struct buffer *advice)
{
	char copy[PATH_MAX], *parent;
	struct stat status;

	if (snprintf(copy, sizeof(copy), "%s", directory) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	parent = stat(directory, &status) == 0 ? copy : dirname(copy);
	if (is_bpffs(parent))
		return 0;
	if (strcmp(parent, BPFFS_ROOT) == 0 &&
	    mount("bpf", BPFFS_ROOT, "bpf", 0, "mode=0700") == 0) {
		log_info("bpffs mounted", log_text("path", BPFFS_ROOT));
		return 0;
	}
	buffer_printf(advice, "'%s' is not on a bpffs, mount one: mount -t bpf bpf %s", parent,
		      BPFFS_ROOT);
	return -ENOENT;
}

static bool is_cgroup(const char *path)
{
	struct statfs status;

	return statfs(path, &status) == 0 && (unsigned long)status.f_type == CGROUP2_SUPER_MAGIC;
}

const char *obstacles_find_cgroup(const char *wanted, struct buffer *advice)
{
	/* The second: where systemd mounts it beside version 1. */
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	if (wanted) {
		if (is_cgroup(wanted))
			return wanted;
		buffer_printf(advice, "'%s' is no directory of cgroup v2", wanted);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(roots); i++) {
		if (is_cgroup(roots[i]))
			return roots[i];
	}
	buffer_append_text(advice, "cgroup v2 is not mounted: mount -t cgroup2 none "
				   "/sys/fs/cgroup; or name its directory");
	return NULL;
}
