/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tagger's life on interfaces: which it attaches to, whom it leaves alone, what stays after a
 * kill and what after a clean end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include "kernel/pins.h"
#include "kernel/sandbox.h"

static char bpffs[PATH_MAX];
static char pin_directory[PATH_MAX + 16];
static enum tagger_hook hook;
/* The tagger of the test that runs, so that a failed one does not stand in the way of the next. */
static struct tagger *current;

static struct tagger *open_on(const char *const *interfaces, size_t count)
{
	struct tagger_options options = {.variant = sandbox_variant(),
					 .pin_directory = pin_directory,
					 .interfaces = interfaces,
					 .interface_count = count,
					 .hook = hook};

	assert_int_equal(tagger_open(&options, &current), 0);
	return current;
}

static void close_current(void)
{
	tagger_close(current);
	current = NULL;
}

static struct tagger *open_on_one(const char *interface)
{
	return open_on(&interface, 1);
}

static void rule_and_port(struct tagger *tagger, uint16_t port)
{
	struct lanetag_ruleset ruleset;

	sandbox_rules(&ruleset, 7);
	assert_int_equal(tagger_set_rules(tagger, &ruleset), 0);
	assert_int_equal(tagger_set_ports(tagger, &port, 1), 0);
}

static uint64_t counted(const struct tagger *tagger)
{
	static uint64_t requests[LANETAG_MAX_LANES];

	assert_int_equal(tagger_lane_requests(tagger, requests), 0);
	return requests[0] + requests[1];
}

/* What a person sees of the namespace's hooks, and of the pins. */
static void snapshot(char *text, size_t size)
{
	FILE *out = popen("bpftool net; tc qdisc; tc filter show dev va ingress; "
			  "tc filter show dev va egress; find /tmp/bpffs | sort",
			  "r");
	size_t length;

	sandbox_require(out != NULL, "popen");
	length = fread(text, 1, size - 1, out);
	text[length] = '\0';
	pclose(out);
}

static void handle_news(struct tagger *tagger)
{
	struct pollfd news = {.fd = tagger_event_fd(tagger), .events = POLLIN};

	for (int i = 0; i < 20 && poll(&news, 1, 50) > 0; i++)
		tagger_handle_events(tagger);
}

static int load_foreign_program(int verdict)
{
	struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", instructions, 2, NULL);

	sandbox_require(program >= 0, "foreign program");
	return program;
}

/* Cilium's favourite place. */
static void attach_foreign_filter(const char *interface, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)if_nametoindex(interface),
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = 1, .priority = 1, .prog_fd = program);

	bpf_tc_hook_create(&place);
	assert_int_equal(bpf_tc_attach(&place, &options), 0);
}

static int make_interfaces(void **state)
{
	(void)state;
	return sandbox_run(
		"ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
}

static int remove_interfaces(void **state)
{
	(void)state;
	close_current();
	sandbox_run("ip -o link | sed -n 's/^[0-9]*: \\([^:@]*\\).*/link del \\1/p' | grep -v 'del "
		    "lo$' | "
		    "ip -force -batch - 2>/dev/null");
	sandbox_run("tc qdisc del dev lo clsact 2>/dev/null; rm -rf /tmp/bpffs/lanetag");
	return 0;
}

static void only_named_and_matching_interfaces_are_attached(void **state)
{
	const char *names[] = {"lo", "v?"};
	struct tagger *tagger;

	(void)state;
	sandbox_run("ip link add other type veth peer name x");
	tagger = open_on(names, 2);
	assert_int_equal(tagger_attached_interfaces(tagger), 3);
	close_current();
	names[1] = "*";
	tagger = open_on(names, 2);
	assert_int_equal(tagger_attached_interfaces(tagger), 5);
	close_current();
}

static void interfaces_that_come_go_and_are_renamed_are_followed(void **state)
{
	struct tagger *tagger = open_on_one("v*");

	(void)state;
	assert_int_equal(tagger_attached_interfaces(tagger), 2);
	sandbox_run("ip link add vc type veth peer name xd");
	handle_news(tagger);
	assert_int_equal(tagger_attached_interfaces(tagger), 3);
	sandbox_run("ip link set xd name vd");
	handle_news(tagger);
	assert_int_equal(tagger_attached_interfaces(tagger), 4);
	sandbox_run("ip link set vd name xd");
	handle_news(tagger);
	assert_int_equal(tagger_attached_interfaces(tagger), 3);
	sandbox_run("ip link del va");
	handle_news(tagger);
	assert_int_equal(tagger_attached_interfaces(tagger), 1);
	close_current();
}

static void a_storm_of_interfaces_is_not_lost_on(void **state)
{
	struct tagger *tagger = open_on_one("s*");
	int small = 2048;

	(void)state;
	/* So small that the news overflow. */
	setsockopt(tagger_event_fd(tagger), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	sandbox_run("for i in $(seq 20); do echo link add s$i type veth peer name st$i; done | ip "
		    "-batch - && "
		    "for i in $(seq 5); do echo link del s$i; done | ip -batch -");
	handle_news(tagger);
	assert_int_equal(tagger_attached_interfaces(tagger), 30);
	close_current();
}

static void a_clean_end_leaves_nothing(void **state)
{
	static char before[16384], after[16384];

	(void)state;
	snapshot(before, sizeof(before));
	open_on_one("v*");
	snapshot(after, sizeof(after));
	assert_string_not_equal(before, after);
	close_current();
	snapshot(after, sizeof(after));
	assert_string_equal(before, after);
}

static void filters_of_others_stay_as_they_were(void **state)
{
	static char before[16384], after[16384];
	int program = load_foreign_program(-1);

	(void)state;
	attach_foreign_filter("va", program);
	close(program);
	sandbox_run("tc qdisc add dev vb clsact");
	snapshot(before, sizeof(before));
	open_on_one("*");
	assert_int_equal(
		sandbox_run(
			"tc filter show dev va ingress | grep -q 'pref 1 .*handle 0x1 foreign'"),
		0);
	close_current();
	snapshot(after, sizeof(after));
	assert_string_equal(before, after);
}

static void a_filter_that_came_later_keeps_our_qdisc(void **state)
{
	int program = load_foreign_program(-1);

	(void)state;
	open_on_one("va");
	attach_foreign_filter("va", program);
	close_current();
	assert_int_equal(sandbox_run("tc filter show dev va ingress | grep -q foreign"), 0);
	assert_int_equal(sandbox_run("tc filter show dev va ingress | grep -q tagger"), 1);
	close(program);
}

static void programs_after_ours_still_run(void **state)
{
	struct sandbox_connection connection;
	uint16_t port;
	int listener = sandbox_listen(&port), program = load_foreign_program(2); /* TC_ACT_SHOT */
	struct tagger *tagger = open_on_one("lo");

	(void)state;
	rule_and_port(tagger, port);
	sandbox_connect(listener, port, &connection);
	sandbox_request(&connection, "0005");
	assert_int_equal(counted(tagger), 1);
	attach_foreign_filter("lo", program);
	send(connection.client, "GET", 3, 0);
	struct pollfd readable = {.fd = connection.server, .events = POLLIN};
	assert_int_equal(poll(&readable, 1, 300), 0);
	sandbox_run("tc filter del dev lo ingress pref 1; tc qdisc del dev lo clsact");
	close_current();
	sandbox_disconnect(&connection);
	close(listener);
	close(program);
}

static void detach_pinned_link(const char *interface)
{
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);
	char path[PATH_MAX + 128];
	int link;

	snprintf(path, sizeof(path), "%s/link-%llu-%u", pin_directory,
		 (unsigned long long)pins_network_namespace(), if_nametoindex(interface));
	link = bpf_obj_get(path);
	assert_true(link >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(link, &info, &length), 0);
	assert_int_equal(info.netns.netns_ino,
			 if_nametoindex(interface)); /* the place of tcx.ifindex */
	assert_int_equal(bpf_link_detach(link), 0);
	close(link);
}

static void what_others_remove_is_attached_again(void **state)
{
	struct tagger *tagger = open_on_one("va");

	(void)state;
	if (hook == TAGGER_HOOK_CLSACT) {
		sandbox_run("tc qdisc del dev va clsact");
		handle_news(tagger);
		assert_int_equal(sandbox_run("tc filter show dev va ingress | grep -q tagger"), 0);
	} else {
		detach_pinned_link("va");
		sandbox_run("ip link set vb mtu 1400"); /* any news */
		handle_news(tagger);
		detach_pinned_link("va"); /* there again */
	}
	assert_int_equal(tagger_attached_interfaces(tagger), 1);
	close_current();
}

static void requests_are_marked_and_counted(void **state)
{
	struct sandbox_connection connection;
	struct lanetag_mark mark;
	uint16_t port;
	int listener = sandbox_listen(&port);
	struct tagger *tagger = open_on_one("lo");

	(void)state;
	rule_and_port(tagger, port);
	sandbox_connect(listener, port, &connection);
	for (int i = 0; i < 10; i++) {
		uint64_t position = sandbox_request(&connection, i % 2 ? "0005" : "0001");

		assert_true(tagger_find_mark(tagger, &connection.key, position, &mark));
		assert_int_equal(mark.generation, 7);
		assert_int_equal(mark.remainder[0], i % 2 ? 6 : 82);
		assert_int_equal(mark.policy[0], i % 2 ? 0 : LANETAG_POLICY_NONE);
	}
	assert_int_equal(counted(tagger), 10);
	sandbox_disconnect(&connection);
	close(listener);
	close_current();
}

/* An agent in a process of its own, which says when it is ready and then waits for its end. */
static pid_t start_agent(uint16_t port)
{
	int ready[2];
	char byte = 0;
	pid_t agent;

	sandbox_require(pipe(ready) == 0, "pipe");
	agent = fork();
	if (agent == 0) {
		const char *interfaces[] = {"lo", "v*"};
		struct tagger_options options = {.variant = sandbox_variant(),
						 .pin_directory = pin_directory,
						 .interfaces = interfaces,
						 .interface_count = 2,
						 .hook = hook};
		struct lanetag_ruleset ruleset;
		struct tagger *tagger;

		sandbox_rules(&ruleset, 7);
		if (tagger_open(&options, &tagger) || tagger_set_rules(tagger, &ruleset) ||
		    tagger_set_ports(tagger, &port, 1))
			_exit(1);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	sandbox_require(read(ready[0], &byte, 1) == 1, "agent in another process");
	close(ready[0]);
	return agent;
}

static void end_agent(pid_t agent)
{
	kill(agent, SIGKILL);
	waitpid(agent, NULL, 0);
}

static void a_killed_agent_goes_on_marking_and_the_next_takes_over(void **state)
{
	struct sandbox_connection connection;
	struct lanetag_mark mark;
	uint64_t last = 0;
	uint16_t port;
	int listener = sandbox_listen(&port);
	pid_t agent = start_agent(port), traffic;
	const char *interfaces[] = {"lo", "v*"};
	struct tagger *tagger;
	int status;

	(void)state;
	sandbox_connect(listener, port, &connection);
	for (int i = 0; i < 50; i++)
		sandbox_request(&connection, "0005");
	end_agent(agent);
	for (int i = 0; i < 50; i++)
		sandbox_request(&connection, "0005");
	/* The take-over happens under traffic of another process, on a connection that was open
	 * before. */
	traffic = fork();
	if (traffic == 0) {
		for (int i = 0; i < 3000; i++)
			sandbox_request(&connection, "0005");
		_exit(0);
	}
	tagger = open_on(interfaces, 2);
	waitpid(traffic, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(counted(tagger), 3100);
	connection.position += 3000 * (connection.position / 100);
	last = sandbox_request(&connection, "0005");
	assert_true(tagger_find_mark(tagger, &connection.key, last, &mark));
	assert_int_equal(mark.policy[0], 0);
	sandbox_disconnect(&connection);
	close(listener);
	close_current();
	assert_int_equal(access(pin_directory, F_OK), -1);
}

static void maps_of_another_layout_are_replaced(void **state)
{
	char path[PATH_MAX + 64];
	struct sandbox_connection connection;
	uint32_t key = 0;
	uint64_t fingerprint = 42;
	uint16_t port;
	int listener = sandbox_listen(&port), other;
	struct tagger *tagger;

	(void)state;
	end_agent(start_agent(port));
	/* The agent before had another fingerprint. */
	snprintf(path, sizeof(path), "%s/lane_layout", pin_directory);
	other = bpf_obj_get(path);
	assert_true(other >= 0);
	assert_int_equal(bpf_map_update_elem(other, &key, &fingerprint, BPF_ANY), 0);
	close(other);
	tagger = open_on_one("lo");
	rule_and_port(tagger, port);
	assert_int_equal(tagger_attached_interfaces(tagger), 1);
	sandbox_connect(listener, port, &connection);
	sandbox_request(&connection, "0005");
	assert_int_equal(counted(tagger), 1);
	sandbox_disconnect(&connection);
	close(listener);
	close_current();
	assert_int_equal(access(pin_directory, F_OK), -1);
}

static void a_foreign_map_under_our_name_is_replaced(void **state)
{
	char path[PATH_MAX + 64];
	uint16_t port = 1;
	int other;
	struct tagger *tagger;

	(void)state;
	end_agent(start_agent(port));
	other = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 4, 1, NULL);
	assert_true(other >= 0);
	snprintf(path, sizeof(path), "%s/lane_marks", pin_directory);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(other, path), 0);
	close(other);
	tagger = open_on_one("lo");
	rule_and_port(tagger, port);
	close_current();
	assert_int_equal(access(pin_directory, F_OK), -1);
}

static void a_second_agent_is_refused_and_told_who_is_there(void **state)
{
	const char *interface = "lo";
	struct tagger_options options = {.variant = sandbox_variant(),
					 .pin_directory = pin_directory,
					 .interfaces = &interface,
					 .interface_count = 1};
	char command[64];
	struct tagger *second = NULL;
	int log = dup(STDERR_FILENO), captured = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char text[1024] = "";

	(void)state;
	open_on_one("lo");
	dup2(captured, STDERR_FILENO);
	assert_int_equal(tagger_open(&options, &second), -EBUSY);
	dup2(log, STDERR_FILENO);
	assert_null(second);
	assert_true(pread(captured, text, sizeof(text) - 1, 0) > 0);
	snprintf(command, sizeof(command), "pid=%d", getpid());
	assert_non_null(strstr(text, command));
	close(captured);
	close(log);
	close_current();
}

static void unpinned_leaves_no_trace_either(void **state)
{
	static char before[16384], after[16384];
	const char *interface = "v*";
	struct tagger_options options = {.variant = sandbox_variant(),
					 .interfaces = &interface,
					 .interface_count = 1,
					 .hook = hook};

	(void)state;
	snapshot(before, sizeof(before));
	assert_int_equal(tagger_open(&options, &current), 0);
	assert_int_equal(tagger_attached_interfaces(current), 2);
	close_current();
	snapshot(after, sizeof(after));
	assert_string_equal(before, after);
}

#define HOOK_TEST(claim) cmocka_unit_test_setup_teardown(claim, make_interfaces, remove_interfaces)

static int run_with_hook(enum tagger_hook wanted, const char *group)
{
	const struct CMUnitTest tests[] = {
		HOOK_TEST(only_named_and_matching_interfaces_are_attached),
		HOOK_TEST(interfaces_that_come_go_and_are_renamed_are_followed),
		HOOK_TEST(a_storm_of_interfaces_is_not_lost_on),
		HOOK_TEST(a_clean_end_leaves_nothing),
		HOOK_TEST(filters_of_others_stay_as_they_were),
		HOOK_TEST(a_filter_that_came_later_keeps_our_qdisc),
		HOOK_TEST(programs_after_ours_still_run),
		HOOK_TEST(what_others_remove_is_attached_again),
		HOOK_TEST(requests_are_marked_and_counted),
		HOOK_TEST(a_killed_agent_goes_on_marking_and_the_next_takes_over),
		HOOK_TEST(maps_of_another_layout_are_replaced),
		HOOK_TEST(a_foreign_map_under_our_name_is_replaced),
		HOOK_TEST(a_second_agent_is_refused_and_told_who_is_there),
		HOOK_TEST(unpinned_leaves_no_trace_either),
	};

	hook = wanted;
	printf("# hook: %s\n", group);
	return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}

static bool kernel_has_tcx(void)
{
	int program = load_foreign_program(-1);
	int link =
		bpf_link_create(program, (int)if_nametoindex("lo"), (enum bpf_attach_type)46, NULL);

	close(program);
	if (link >= 0)
		close(link);
	return link >= 0;
}

int main(void)
{
	int failed;

	if (sandbox_is_skipped("lifecycle"))
		return 0;
	sandbox_enter(bpffs);
	snprintf(pin_directory, sizeof(pin_directory), "%s/lanetag", bpffs);
	failed = run_with_hook(TAGGER_HOOK_CLSACT, "clsact");
	if (kernel_has_tcx())
		failed += run_with_hook(TAGGER_HOOK_TCX, "tcx");
	else
		printf("# this kernel has no TCX\n");
	return failed != 0;
}
