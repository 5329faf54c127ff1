/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interception, from the socket calls to the maps: this process is the pod, in a cgroup and a
 * network namespace of its own; the agent's namespace is another, where the Service's address and
 * the agent's are.
 */
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sched.h>
#include <sys/prctl.h>
#include "base/address.h"
#include "kernel/interception.h"
#include "kernel/obstacles.h"
#include "kernel/sandbox.h"

#define SERVICE_PORT 8000
#define AGENT_PORT 15001
#define LONG_MS 60000
#define PATIENCE_MS 5000

static char bpffs[PATH_MAX], cgroup[PATH_MAX];
static struct interception *interception;
/* Listening: the Service's own servers, and the agent's. */
static int servers[2], agents[2];

static const char *const services[] = {"10.96.0.1", "fd00:96::1"};
static const char *const agent_addresses[] = {"10.96.0.2", "fd00:96::2"};

static socklen_t make_address(const char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret_address;
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		return sizeof(*ipv4);
	}
	sandbox_require(inet_pton(AF_INET6, text, &ipv6->sin6_addr) == 1, text);
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	return sizeof(*ipv6);
}

static struct lanetag_destination destination(const char *text, uint16_t port)
{
	struct lanetag_destination result = {.port = port};

	sandbox_require(address_parse(text, result.address) == 0, text);
	return result;
}

static int listen_at(const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = make_address(text, port, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sandbox_require(bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
	sandbox_require(listen(fd, 16) == 0, "listen");
	sandbox_require(saved_syn_request(fd) == 0, "saved SYNs");
	return fd;
}

/* A connected socket, or -1. */
static int call(const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = make_address(text, port, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&address, length) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Whether a connection waits there: it is then taken in, and *ret_peer is set. */
static bool came_to(int listener, struct lanetag_interception_key *ret_key, const char *agent)
{
	struct sockaddr_storage peer = {0};
	socklen_t length = sizeof(peer);
	int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
	struct lanetag_destination local = destination(agent, AGENT_PORT);

	if (fd < 0)
		return false;
	*ret_key = (struct lanetag_interception_key){0};
	struct lanetag_connection *ret_connection = &ret_key->connection;
	saved_syn_sequence(fd, &ret_key->sequence);
	ret_connection->local_port = AGENT_PORT;
	memcpy(ret_connection->local_address, local.address, 16);
	if (peer.ss_family == AF_INET) {
		const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&peer;

		sandbox_map_address(ret_connection->remote_address, ipv4->sin_addr);
		ret_connection->remote_port = ntohs(ipv4->sin_port);
	} else {
		const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&peer;

		memcpy(ret_connection->remote_address, &ipv6->sin6_addr, 16);
		ret_connection->remote_port = ntohs(ipv6->sin6_port);
	}
	close(fd);
	return true;
}

/* The same, waited for: connect(2) may return before the other end has the handshake's last ACK. */
static bool comes_to(int listener, struct lanetag_interception_key *ret_key, const char *agent)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};

	return poll(&wait, 1, PATIENCE_MS) == 1 && came_to(listener, ret_key, agent);
}

static uint64_t counted(enum lanetag_interception_count count)
{
	struct interception_counts counts = {0};

	assert_int_equal(interception_read_counts(interception, &counts), 0);
	return counts.counts[count];
}

static void open_interception(bool fail_closed)
{
	struct interception_options options = {
		.cgroup = cgroup,
		.pin_directory = "/tmp/bpffs/interception",
		.agent = {destination(agent_addresses[0], AGENT_PORT),
			  destination(agent_addresses[1], AGENT_PORT)},
		.fail_closed = fail_closed,
	};
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	/* The agent is one of another namespace. */
	sandbox_require(unshare(CLONE_NEWNET) == 0, "the agent's namespace");
	assert_int_equal(interception_open(&options, &interception), 0);
	sandbox_require(setns(home, CLONE_NEWNET) == 0, "back home");
	close(home);
}

static void set_scope(bool everyone, const char *pod)
{
	struct lanetag_destination destinations[] = {destination(services[0], SERVICE_PORT),
						     destination(services[1], SERVICE_PORT)};
	struct lanetag_namespace_address pods[1];
	struct interception_scope scope = {destinations, 2, everyone, pods, pod ? 1 : 0};

	if (pod)
		memcpy(pods[0].address, destination(pod, 0).address, 16);
	interception_sort(&scope);
	assert_int_equal(interception_narrow(interception, &scope), 0);
	assert_int_equal(interception_widen(interception, &scope), 0);
}

static int set_up(void **state)
{
	(void)state;
	open_interception(false);
	set_scope(true, NULL);
	assert_int_equal(interception_renew(interception, LONG_MS), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct lanetag_interception_key ignored;

	(void)state;
	interception_close(interception);
	interception = NULL;
	for (int i = 0; i < 2; i++) {
		while (came_to(servers[i], &ignored, agent_addresses[i]) ||
		       came_to(agents[i], &ignored, agent_addresses[i]))
			;
	}
	return 0;
}

static void expect_direct(void)
{
	struct lanetag_interception_key connection;
	int fd = call(services[0], SERVICE_PORT);

	assert_true(fd >= 0);
	assert_true(comes_to(servers[0], &connection, agent_addresses[0]));
	assert_false(came_to(agents[0], &connection, agent_addresses[0]));
	close(fd);
}

static void expect_intercepted(const char *text, int family)
{
	struct lanetag_destination wanted = destination(services[family], SERVICE_PORT);
	struct lanetag_intercepted found;
	struct lanetag_interception_key connection;
	int fd = call(text, SERVICE_PORT);

	assert_true(fd >= 0);
	assert_true(comes_to(agents[family], &connection, agent_addresses[family]));
	assert_true(interception_take(interception, &connection, &found));
	assert_memory_equal(&found.original, &wanted, sizeof(wanted));
	assert_int_not_equal(found.namespace_cookie, 0);
	assert_false(interception_take(interception, &connection, &found));
	close(fd);
}

static void calls_come_to_the_agent(void **state)
{
	(void)state;
	uint64_t before = counted(LANETAG_INTERCEPTION_REDIRECTED);

	expect_intercepted(services[0], LANETAG_IPV4);
	expect_intercepted(services[1], LANETAG_IPV6);
	expect_intercepted("::ffff:10.96.0.1", LANETAG_IPV4);
	assert_int_equal(counted(LANETAG_INTERCEPTION_REDIRECTED) - before, 3);
}

static void the_application_sees_what_it_called(void **state)
{
	struct sockaddr_storage peer, wanted;
	socklen_t length = sizeof(peer);
	const char *const calls[] = {services[0], services[1], "::ffff:10.96.0.1"};

	(void)state;
	for (int i = 0; i < 3; i++) {
		socklen_t wanted_length = make_address(calls[i], SERVICE_PORT, &wanted);
		int fd = call(calls[i], SERVICE_PORT);

		memset(&peer, 0, sizeof(peer));
		length = sizeof(peer);
		assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &length), 0);
		assert_int_equal(length, wanted_length);
		assert_memory_equal(&peer, &wanted, length);
		close(fd);
	}
}

static void other_traffic_goes_where_it_went(void **state)
{
	struct lanetag_interception_key connection;
	struct lanetag_intercepted found;
	struct sockaddr_storage address;
	int other = listen_at(services[0], SERVICE_PORT + 1);
	int fd = call(services[0], SERVICE_PORT + 1);

	(void)state;
	assert_true(fd >= 0);
	assert_true(comes_to(other, &connection, agent_addresses[0]));
	assert_false(interception_take(interception, &connection, &found));
	close(fd);
	close(other);

	/* UDP to the very address. */
	socklen_t length = make_address(services[0], SERVICE_PORT, &address), got = sizeof(address);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&address, &got), 0);
	assert_int_equal(((struct sockaddr_in *)&address)->sin_port, htons(SERVICE_PORT));
	close(fd);
}

static void a_stranger_has_no_entry(void **state)
{
	struct lanetag_interception_key connection;
	struct lanetag_intercepted found;
	int fd = call(agent_addresses[0], AGENT_PORT);

	(void)state;
	assert_true(fd >= 0);
	assert_true(comes_to(agents[0], &connection, agent_addresses[0]));
	assert_false(interception_take(interception, &connection, &found));
	close(fd);
}

/* Also when the same socket was redirected before. */
static void a_socket_forgets_where_it_was_led(void **state)
{
	struct sockaddr_storage address, peer;
	struct lanetag_interception_key connection;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t length = make_address(services[0], SERVICE_PORT, &address), got = sizeof(peer);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	assert_true(comes_to(agents[0], &connection, agent_addresses[0]));
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	int other = listen_at(services[0], SERVICE_PORT + 1);
	length = make_address(services[0], SERVICE_PORT + 1, &address);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &got), 0);
	assert_int_equal(((struct sockaddr_in *)&peer)->sin_port, htons(SERVICE_PORT + 1));
	close(fd);
	close(other);
}

static void without_a_heartbeat_calls_go_directly(void **state)
{
	(void)state;
	uint64_t before = counted(LANETAG_INTERCEPTION_BYPASSED);

	assert_int_equal(interception_renew(interception, 0), 0);
	expect_direct();
	assert_int_equal(counted(LANETAG_INTERCEPTION_BYPASSED) - before, 1);
	assert_int_equal(interception_renew(interception, LONG_MS), 0);
	expect_intercepted(services[0], LANETAG_IPV4);
}

static void a_detached_agent_gets_no_calls(void **state)
{
	(void)state;
	interception_detach(interception);
	expect_direct();
}

/* Its first connection shows a namespace's address; from then on it is known. */
static void unselected_pods_go_directly(void **state)
{
	(void)state;
	set_scope(false, "10.96.0.99");
	expect_intercepted(services[0], LANETAG_IPV4);
	uint64_t before = counted(LANETAG_INTERCEPTION_UNSELECTED);
	expect_direct();
	assert_int_equal(counted(LANETAG_INTERCEPTION_UNSELECTED) - before, 1);
	/* lo: the source is the address that is called. */
	set_scope(false, agent_addresses[0]);
	expect_intercepted(services[0], LANETAG_IPV4);
}

static void the_agents_own_calls_go_directly(void **state)
{
	struct interception_options options = {
		.cgroup = cgroup,
		.agent = {destination(agent_addresses[0], AGENT_PORT)},
	};

	(void)state;
	interception_close(interception);
	assert_int_equal(interception_open(&options, &interception), 0);
	set_scope(true, NULL);
	assert_int_equal(interception_renew(interception, LONG_MS), 0);
	expect_direct();
}

/* An agent that is killed runs no code: its process ends with the links in its hands. */
static void die_as_an_agent(bool fail_closed, unsigned promised_ms)
{
	pid_t agent = fork();

	if (agent == 0) {
		open_interception(fail_closed);
		set_scope(true, NULL);
		interception_renew(interception, promised_ms);
		kill(getpid(), SIGKILL);
	}
	waitpid(agent, NULL, 0);
}

static void a_killed_agent_leaves_calls_alone(void **state)
{
	(void)state;
	interception_close(interception);
	interception = NULL;
	die_as_an_agent(false, 0);
	expect_direct();
}

static void fail_closed_outlives_the_agent(void **state)
{
	(void)state;
	interception_close(interception);
	interception = NULL;
	die_as_an_agent(true, 0);
	assert_int_equal(call(services[0], SERVICE_PORT), -1);
	assert_int_equal(errno, EPERM);
	open_interception(false); /* the next one takes it back */
	expect_direct();
}

/* What a killed one has promised does not hold for the next, which has no listener yet. */
static void nothing_is_intercepted_before_the_next_agent_serves(void **state)
{
	(void)state;
	interception_close(interception);
	interception = NULL;
	die_as_an_agent(false, LONG_MS);
	open_interception(false);
	expect_direct();
	assert_int_equal(interception_renew(interception, LONG_MS), 0);
	expect_intercepted(services[0], LANETAG_IPV4);
}

/* Ends each of its calls when the other side has, and itself with this process. */
static void start_caller(void)
{
	char byte;

	if (fork() != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = call(services[0], SERVICE_PORT);

		if (fd < 0)
			continue;
		while (read(fd, &byte, 1) > 0)
			;
		close(fd);
	}
}

/* Takes calls in until so many have come to this listener; all that come to the agent are noted. */
static void take_in(int listener, unsigned wanted)
{
	struct pollfd wait[] = {{.fd = agents[0], .events = POLLIN},
				{.fd = servers[0], .events = POLLIN}};
	struct lanetag_interception_key connection;
	struct lanetag_intercepted found;

	while (wanted) {
		sandbox_require(poll(wait, 2, PATIENCE_MS) > 0, "calls come");
		for (int i = 0; i < 2; i++) {
			if (!came_to(wait[i].fd, &connection, agent_addresses[0]))
				continue;
			if (i == 0)
				sandbox_require(
					interception_take(interception, &connection, &found),
					"a call that came to the agent is noted");
			if (wait[i].fd == listener && wanted)
				wanted--;
		}
	}
}

static void *detach(void *context)
{
	(void)context;
	interception_detach(interception);
	return NULL;
}

/* In a process of its own, with which the callers end. */
static void come_and_go(void)
{
	enum { CALLERS = 3, ROUNDS = 30, CALLS = 20 };
	pthread_t thread;

	for (int i = 0; i < CALLERS; i++)
		start_caller();
	for (int round = 0; round < ROUNDS; round++) {
		open_interception(false);
		set_scope(true, NULL);
		assert_int_equal(interception_renew(interception, LONG_MS), 0);
		take_in(agents[0], CALLS);
		sandbox_require(pthread_create(&thread, NULL, detach, NULL) == 0, "thread");
		take_in(servers[0], CALLS);
		pthread_join(thread, NULL);
		interception_close(interception);
	}
}

static void every_call_is_noted_while_agents_come_and_go(void **state)
{
	int status;

	(void)state;
	interception_close(interception);
	interception = NULL;
	pid_t child = fork();
	if (child == 0) {
		come_and_go();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define OTHER_LAYOUT "/tmp/bpffs/interception/0123456789abcdef"

/* An agent of another version: the directory of its maps has another name than ours. */
static pid_t start_other_layout(void)
{
	int ready[2];
	char byte;

	sandbox_require(pipe2(ready, O_CLOEXEC) == 0, "pipe");
	pid_t agent = fork();
	if (agent == 0) {
		open_interception(false);
		set_scope(true, NULL);
		interception_renew(interception, LONG_MS);
		sandbox_require(write(ready[1], "r", 1) == 1, "ready");
		pause();
	}
	close(ready[1]);
	sandbox_require(read(ready[0], &byte, 1) == 1, "the other agent");
	close(ready[0]);
	sandbox_require(sandbox_run("mv /tmp/bpffs/interception/* " OTHER_LAYOUT) == 0, "rename");
	return agent;
}

static void an_agent_of_another_version_is_overlapped_and_cleared_away(void **state)
{
	struct lanetag_intercepted found;
	struct lanetag_interception_key connection;

	(void)state;
	interception_close(interception);
	pid_t other = start_other_layout();
	open_interception(false);
	int fd = call(services[0], SERVICE_PORT);
	assert_true(comes_to(agents[0], &connection, agent_addresses[0]));
	assert_true(interception_take(interception, &connection, &found));
	assert_false(interception_take(interception, &connection, &found));
	close(fd);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	assert_int_equal(access(OTHER_LAYOUT "/lane_intercepted", F_OK), 0);
	interception_close(interception);
	open_interception(false);
	assert_int_equal(access(OTHER_LAYOUT, F_OK), -1);
}

static void overlapping_agents_know_each_others_calls(void **state)
{
	struct interception *first = interception;
	struct lanetag_intercepted found;
	struct lanetag_interception_key connection;

	(void)state;
	open_interception(false);
	int fd = call(services[0], SERVICE_PORT);
	assert_true(comes_to(agents[0], &connection, agent_addresses[0]));
	assert_true(interception_take(interception, &connection, &found));
	close(fd);
	interception_close(first);
	expect_intercepted(services[0], LANETAG_IPV4);
}

#define NO_USER 65534
#define OTHER_PORT (SERVICE_PORT + 7) /* of the Service that the attacker would have called */
#define VICTIMS_PORT 40123

/* A call from this very address. The connected socket, or -1; without waiting where `at_once`. */
static int call_from(const char *source, const char *text, uint16_t port, bool at_once)
{
	struct sockaddr_storage own, address;
	socklen_t own_length = make_address(source, VICTIMS_PORT, &own);
	socklen_t length = make_address(text, port, &address);
	bool ipv6 = own.ss_family == AF_INET6;
	int fd = socket(own.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (at_once ? SOCK_NONBLOCK : 0),
			0);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (at_once)
		setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_FREEBIND : IP_FREEBIND,
			   &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&own, own_length) == 0 &&
	    (connect(fd, (struct sockaddr *)&address, length) == 0 ||
	     (at_once && errno == EINPROGRESS)))
		return fd;
	close(fd);
	return -1;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	sandbox_require(write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

/* From here on with no rights at all. */
static void become_a_user(void)
{
	sandbox_require(setgroups(0, NULL) == 0 && setresgid(NO_USER, NO_USER, NO_USER) == 0 &&
				setresuid(NO_USER, NO_USER, NO_USER) == 0,
			"uid 65534");
	prctl(PR_SET_DUMPABLE, 1); /* so that /proc/self is its own */
}

/* What any user may make: in it he is root, and has whichever addresses he likes. */
static void enter_own_network(void)
{
	become_a_user();
	sandbox_require(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0, "a user's own namespaces");
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", "0 65534 1");
	write_text("/proc/self/gid_map", "0 65534 1");
}

/* A pod's network with a way out, as a network plug-in makes it; the pod itself has no rights. */
static void enter_pods_network(void)
{
	sandbox_require(unshare(CLONE_NEWNET) == 0, "a pod's network");
	sandbox_require(sandbox_run("ip link set lo up") == 0 &&
				sandbox_run("ip -6 route add fd00:96::/64 dev lo") == 0,
			"a way out");
	become_a_user();
}

/*
 * Shakes hands with itself: the victim's address and the agent's are both at home here. The cgroup's
 * programs see it call a Service.
 */
static bool shake_hands_with_oneself(int family)
{
	const char *const addresses[] = {services[family], agent_addresses[family]};

	enter_own_network();
	sandbox_require(sandbox_run("ip link set lo up") == 0, "lo");
	for (int i = 0; i < 2; i++)
		sandbox_require(sandbox_run("ip address add %s/%d dev lo %s", addresses[i],
					    family ? 128 : 32, family ? "nodad" : "") == 0,
				"another's address");
	listen_at(agent_addresses[family], AGENT_PORT);
	return call_from(services[family], services[family], OTHER_PORT, false) >= 0;
}

/* Has no such address, and says so to nobody: no answer will come. */
static bool call_from_a_free_address(int family)
{
	enter_pods_network();
	return call_from(services[family], services[family], OTHER_PORT, true) >= 0;
}

/* Between the victim's call and the agent's accept, the attacker makes his. */
static void expect_undisturbed_by(bool (*attack)(int family), int family)
{
	struct lanetag_destination wanted = destination(services[family], SERVICE_PORT);
	struct lanetag_destination destinations[] = {wanted,
						     destination(services[family], OTHER_PORT)};
	struct interception_scope scope = {destinations, 2, true, NULL, 0};
	struct lanetag_interception_key key;
	struct lanetag_intercepted found;
	int status;

	interception_sort(&scope);
	assert_int_equal(interception_widen(interception, &scope), 0);
	uint64_t before = counted(LANETAG_INTERCEPTION_REDIRECTED);
	int victim = call_from(services[family], services[family], SERVICE_PORT, false);
	assert_true(victim >= 0);
	pid_t attacker = fork();
	if (attacker == 0)
		_exit(attack(family) ? 0 : 1);
	assert_int_equal(waitpid(attacker, &status, 0), attacker);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(counted(LANETAG_INTERCEPTION_REDIRECTED) - before, 2);
	assert_true(comes_to(agents[family], &key, agent_addresses[family]));
	assert_true(interception_take(interception, &key, &found));
	assert_memory_equal(&found.original, &wanted, sizeof(wanted));
	assert_false(interception_take(interception, &key, &found));
	close(victim);
}

static void a_user_with_a_network_of_his_own_redirects_no_other_call(void **state)
{
	(void)state;
	expect_undisturbed_by(shake_hands_with_oneself, LANETAG_IPV4);
	expect_undisturbed_by(shake_hands_with_oneself, LANETAG_IPV6);
}

static void a_pod_without_rights_redirects_no_other_call(void **state)
{
	(void)state;
	expect_undisturbed_by(call_from_a_free_address, LANETAG_IPV6);
}

static void what_is_no_cgroup_is_refused(void **state)
{
	struct interception_options options = {.cgroup = "/tmp"};
	struct interception *none = NULL;

	(void)state;
	assert_int_equal(interception_open(&options, &none), -ENOENT);
	assert_null(none);
}

static void leave_cgroup(void)
{
	int fd = open("/tmp/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (write(fd, "0", 1) == 1)
		rmdir(cgroup);
	close(fd);
}

/* A mount of our own: wherever the machine has cgroup v2, and if it has none. */
static void enter_cgroup(void)
{
	char path[PATH_MAX + 32];

	sandbox_require(mkdir("/tmp/cgroup", 0755) == 0, "directory");
	sandbox_require(mount("none", "/tmp/cgroup", "cgroup2", 0, NULL) == 0, "cgroup v2");
	snprintf(cgroup, sizeof(cgroup), "/tmp/cgroup/lanetag-test-%d", getpid());
	sandbox_require(mkdir(cgroup, 0755) == 0, "cgroup");
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	atexit(leave_cgroup);
	sandbox_require(write(fd, "0", 1) == 1, "join the cgroup");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(calls_come_to_the_agent),
		CASE(the_application_sees_what_it_called),
		CASE(other_traffic_goes_where_it_went),
		CASE(a_stranger_has_no_entry),
		CASE(a_socket_forgets_where_it_was_led),
		CASE(without_a_heartbeat_calls_go_directly),
		CASE(a_detached_agent_gets_no_calls),
		CASE(unselected_pods_go_directly),
		CASE(the_agents_own_calls_go_directly),
		CASE(a_killed_agent_leaves_calls_alone),
		CASE(fail_closed_outlives_the_agent),
		CASE(nothing_is_intercepted_before_the_next_agent_serves),
		CASE(every_call_is_noted_while_agents_come_and_go),
		CASE(overlapping_agents_know_each_others_calls),
		CASE(an_agent_of_another_version_is_overlapped_and_cleared_away),
		CASE(a_user_with_a_network_of_his_own_redirects_no_other_call),
		CASE(a_pod_without_rights_redirects_no_other_call),
		cmocka_unit_test(what_is_no_cgroup_is_refused),
#undef CASE
	};

	if (sandbox_is_skipped("interception"))
		return 0;
	sandbox_enter(bpffs);
	for (int i = 0; i < 2; i++) {
		sandbox_require(sandbox_run("ip address add %s/%d dev lo %s", services[i],
					    i ? 128 : 32, i ? "nodad" : "") == 0,
				"Service's address");
		sandbox_require(sandbox_run("ip address add %s/%d dev lo %s", agent_addresses[i],
					    i ? 128 : 32, i ? "nodad" : "") == 0,
				"agent's address");
		servers[i] = listen_at(services[i], SERVICE_PORT);
		agents[i] = listen_at(agent_addresses[i], AGENT_PORT);
	}
	enter_cgroup();
	return cmocka_run_group_tests_name("interception", tests, NULL, NULL);
}
