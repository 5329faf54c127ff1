/* SPDX-License-Identifier: GPL-2.0-only */
/* Which rights the tagger needs, and that it names what is missing. Each case runs in a process of
 * its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "kernel/sandbox.h"

#define BIT(capability) (1ULL << (capability))
#define ENOUGH (BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_NET_ADMIN))
#define NOBODY 65534

static char bpffs[PATH_MAX];
static char pin_directory[PATH_MAX + 16];
static char log_text[8192];

static void become(unsigned user, uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)capabilities, .permitted = (uint32_t)capabilities},
		{.effective = (uint32_t)(capabilities >> 32),
		 .permitted = (uint32_t)(capabilities >> 32)}};

	/* Kernels before 5.11 charge maps to it; raising it is the service manager's business. */
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0)
		fprintf(stderr, "# RLIMIT_MEMLOCK stays as it is\n");
	sandbox_require(prctl(PR_SET_KEEPCAPS, 1) == 0, "keepcaps");
	if (user != 0)
		sandbox_require(setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 &&
					setresuid(user, user, user) == 0,
				"setresuid");
	sandbox_require(syscall(SYS_capset, &header, data) == 0, "capset");
}

/* tagger_open in a child of these rights, then close; its result, and its log in log_text. */
static int open_as(unsigned user, uint64_t capabilities, const char *directory)
{
	int log = open("/tmp", O_TMPFILE | O_RDWR, 0600), status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		const char *interface = "lo";
		struct tagger_options options = {.variant = sandbox_variant(),
						 .pin_directory = directory,
						 .interfaces = &interface,
						 .interface_count = 1};
		struct tagger *tagger = NULL;
		int error;

		dup2(log, STDERR_FILENO);
		become(user, capabilities);
		error = tagger_open(&options, &tagger);
		if (error == 0) {
			struct lanetag_ruleset ruleset;
			uint16_t port = 80;

			sandbox_rules(&ruleset, 1);
			error = tagger_set_rules(tagger, &ruleset);
			if (error == 0)
				error = tagger_set_ports(tagger, &port, 1);
			if (error == 0)
				error = tagger_set_rules(tagger, &ruleset);
			if (tagger_attached_interfaces(tagger) != 1)
				error = -ENODEV;
			tagger_close(tagger);
		}
		_exit(-error);
	}
	waitpid(child, &status, 0);
	ssize_t length = pread(log, log_text, sizeof(log_text) - 1, 0);
	log_text[length > 0 ? length : 0] = '\0';
	close(log);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void three_capabilities_are_enough(void **state)
{
	(void)state;
	if (open_as(0, ENOUGH, pin_directory) != 0)
		fail_msg("%s", log_text);
	assert_int_equal(access(pin_directory, F_OK), -1);
}

static void another_user_needs_no_more_than_a_directory(void **state)
{
	(void)state;
	sandbox_require(mkdir(pin_directory, 0700) == 0 &&
				chown(pin_directory, NOBODY, NOBODY) == 0,
			"pin directory");
	if (open_as(NOBODY, ENOUGH, pin_directory) != 0)
		fail_msg("%s", log_text);
	rmdir(pin_directory);
}

static void each_missing_capability_is_named(void **state)
{
	static const struct {
		uint64_t held;
		const char *named;
	} rows[] = {
		{BIT(CAP_PERFMON) | BIT(CAP_NET_ADMIN), "missing=CAP_BPF"},
		{BIT(CAP_BPF) | BIT(CAP_NET_ADMIN), "missing=CAP_PERFMON"},
		{BIT(CAP_BPF) | BIT(CAP_PERFMON), "missing=CAP_NET_ADMIN"},
		{0, "missing=\"CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(open_as(0, rows[i].held, pin_directory), -EPERM);
		if (strstr(log_text, rows[i].named) == NULL)
			fail_msg("%s is not in: %s", rows[i].named, log_text);
	}
}

static void a_directory_outside_bpffs_is_refused_with_advice(void **state)
{
	(void)state;
	assert_int_equal(open_as(0, ENOUGH, "/tmp/plain"), -ENOENT);
	assert_non_null(strstr(log_text, "mount -t bpf bpf"));
	assert_int_equal(access("/tmp/plain", F_OK), -1);
}

static void a_user_namespace_is_named(void **state)
{
	int log = open("/tmp", O_TMPFILE | O_RDWR, 0600), status;
	pid_t child;

	(void)state;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		const char *interface = "lo";
		struct tagger_options options = {.variant = sandbox_variant(),
						 .interfaces = &interface,
						 .interface_count = 1};
		struct tagger *tagger = NULL;

		dup2(log, STDERR_FILENO);
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(ENOSYS);
		_exit(-tagger_open(&options, &tagger));
	}
	waitpid(child, &status, 0);
	ssize_t length = pread(log, log_text, sizeof(log_text) - 1, 0);
	log_text[length > 0 ? length : 0] = '\0';
	close(log);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == ENOSYS)
		skip();
	assert_int_equal(WEXITSTATUS(status), EPERM);
	if (strstr(log_text, "user namespace") == NULL)
		fail_msg("not named in: %s", log_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_capabilities_are_enough),
		cmocka_unit_test(another_user_needs_no_more_than_a_directory),
		cmocka_unit_test(each_missing_capability_is_named),
		cmocka_unit_test(a_directory_outside_bpffs_is_refused_with_advice),
		cmocka_unit_test(a_user_namespace_is_named),
	};

	if (sandbox_is_skipped("lifecycle rights"))
		return 0;
	sandbox_enter(bpffs);
	snprintf(pin_directory, sizeof(pin_directory), "%s/lanetag", bpffs);
	sandbox_require(chmod(bpffs, 0777) == 0, "chmod");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
