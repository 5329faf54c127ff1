/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tagger's program costs: `make bench-tagger`, as root.
 *
 *   made packets   BPF_PROG_TEST_RUN, linear and in warm caches. A SYN with data is repeated, so
 *                  that each run begins the connection anew and reads a request: that beginning is
 *                  counted too
 *   live packets   requests through a veth pair, one send each; the kernel's own clock
 *                  (BPF_ENABLE_STATS), which adds its two readings, some 20 to 40 ns
 *
 * Each number is the lowest of ROUNDS: the least disturbed by what else the machine does.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include "kernel/tagger_run.h"

#define ROUNDS 7
#define REPEAT 20000
#define LIVE_REQUESTS 3000
#define MAX_HEAD 65536

/* `count` rules on one header, `policies` each, none of which holds: all are looked at. */
static void make_rules(struct lanetag_ruleset *ruleset, uint32_t count, uint32_t policies)
{
	sandbox_rules(ruleset, count);
	ruleset->rule_count = (uint8_t)count;
	for (uint32_t i = 0; i < count; i++) {
		ruleset->rules[i] = ruleset->rules[0];
		ruleset->rules[i].policy_count = (uint8_t)policies;
		for (uint32_t j = 0; j < policies; j++)
			ruleset->rules[i].policies[j] = (struct lanetag_policy){100, 101, 1};
	}
}

/* A head of `size` bytes like a browser's: the user's id is its last field. */
static void make_head(char *head, size_t size)
{
	static const char end[] = "\r\nX-User-Id: 0005\r\n\r\n";
	size_t length = (size_t)sprintf(head, "GET /index.html HTTP/1.1\r\nHost: app-a.example\r\n"
					      "Accept: text/html");

	while (size - length > 120 + sizeof(end))
		length += (size_t)sprintf(head + length,
					  "\r\nSec-Ch-Part: abcdefghijklmnopqrstuvwxyz0123456789"
					  "abcdefghijklmnopqrst");
	memset(head + length, 'x', size - length);
	memcpy(head + size - (sizeof(end) - 1), end, sizeof(end) - 1);
}

static uint32_t lowest(const struct tagger *tagger, const uint8_t *packet, size_t length)
{
	uint32_t best = UINT32_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t time = run_packet_repeated(tagger, packet, length, REPEAT);
		best = time < best ? time : best;
	}
	return best;
}

static uint32_t time_head(const struct tagger *tagger, size_t size)
{
	char head[RUN_PAYLOAD_MAX + 1];
	struct run_flow flow;
	uint8_t packet[4096];

	make_head(head, size);
	run_flow_init(&flow, (uint32_t)size, false);
	size_t length = run_packet(&flow, 0, head, size, RUN_SYN, packet);
	uint32_t time = lowest(tagger, packet, length);
	struct lanetag_mark mark;
	sandbox_require(tagger_find_mark(tagger, &flow.connection, 0, &mark), "a mark");
	return time;
}

static uint32_t time_other(const struct tagger *tagger, bool ipv6)
{
	struct run_flow flow;
	uint8_t packet[4096];

	run_flow_init(&flow, 1, ipv6);
	flow.connection.local_port = RUN_PORT + 1;
	size_t length = run_packet(&flow, 0, "other traffic", 13, 0, packet);
	return lowest(tagger, packet, length);
}

static void bench_made(uint32_t rules)
{
	struct lanetag_ruleset ruleset;
	struct tagger tagger;
	struct pins pins;

	make_rules(&ruleset, rules, rules > 3 ? 16 : 2);
	run_open(&tagger, &pins, &ruleset);
	printf("%2u rules: 200 B %u ns, 1 KiB %u ns, 2.9 KiB %u ns", rules, time_head(&tagger, 200),
	       time_head(&tagger, 1024), time_head(&tagger, 2970));
	printf("; other port: IPv4 %u ns, IPv6 %u ns\n", time_other(&tagger, false),
	       time_other(&tagger, true));
	run_close(&tagger, &pins);
}

static void print_verified(const char *variant)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);
	struct program program;
	struct pins pins;

	sandbox_require(pins_open(&pins, NULL) == 0, "pins");
	struct program_options options = {.kind = PROGRAM_TAGGER, .variant = variant};

	if (program_load(&pins, &options, &program)) {
		printf("%-10s not taken by this kernel\n", variant);
	} else {
		sandbox_require(bpf_obj_get_info_by_fd(program.fd, &info, &length) == 0, "info");
		printf("%-10s %6u verified instructions, %5u in the program\n", variant,
		       info.verified_insns, info.xlated_prog_len / 8);
		program_unload(&program);
	}
	pins_close(&pins);
}

/* A process that holds a network namespace of its own, for the client. */
static pid_t hold_namespace(void)
{
	int ready[2];
	char byte;

	sandbox_require(pipe(ready) == 0, "pipe");
	pid_t child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	sandbox_require(child > 0 && read(ready[0], &byte, 1) == 1, "the client's namespace");
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void enter(pid_t process)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)process);
	int namespace = open(path, O_RDONLY | O_CLOEXEC);
	sandbox_require(namespace >= 0 && setns(namespace, CLONE_NEWNET) == 0, "setns");
	close(namespace);
}

/* A connection through the veth pair: the client in the other namespace. */
static void connect_through(pid_t client_process, struct sandbox_connection *connection)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(RUN_PORT)};
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), one = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sandbox_require(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	sandbox_require(listen(listener, 1) == 0, "listen");
	enter(client_process);
	connection->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(connection->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	inet_pton(AF_INET, "10.99.0.1", &address.sin_addr);
	sandbox_require(connect(connection->client, (struct sockaddr *)&address, sizeof(address)) ==
				0,
			"connect");
	sandbox_require(setns(own, CLONE_NEWNET) == 0, "setns");
	close(own);
	connection->server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	sandbox_require(connection->server >= 0, "accept");
	close(listener);
}

static struct bpf_prog_info program_info(const struct tagger *tagger)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	sandbox_require(bpf_obj_get_info_by_fd(tagger->program.fd, &info, &length) == 0, "info");
	return info;
}

static double time_live(const struct tagger *tagger, const struct sandbox_connection *connection,
			size_t size)
{
	static char head[MAX_HEAD + 1], received[MAX_HEAD];
	double best = 1e9;

	make_head(head, size);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t marks = run_event(tagger, LANETAG_EVENT_MARKS);
		struct bpf_prog_info before = program_info(tagger);

		for (int i = 0; i < LIVE_REQUESTS; i++) {
			sandbox_require(send(connection->client, head, size, 0) == (ssize_t)size,
					"send");
			sandbox_require(recv(connection->server, received, size, MSG_WAITALL) ==
						(ssize_t)size,
					"receive");
		}
		struct bpf_prog_info after = program_info(tagger);
		double time = (double)(after.run_time_ns - before.run_time_ns) / LIVE_REQUESTS;

		sandbox_require(run_event(tagger, LANETAG_EVENT_MARKS) - marks == LIVE_REQUESTS,
				"a mark of each request");
		best = time < best ? time : best;
	}
	return best;
}

static void bench_live(uint32_t rules)
{
	const char *interface = "va";
	struct tagger_options options = {
		.variant = sandbox_variant(), .interfaces = &interface, .interface_count = 1};
	struct sandbox_connection connection;
	struct lanetag_ruleset ruleset;
	uint16_t port = RUN_PORT;
	struct tagger *tagger;

	pid_t client = hold_namespace();
	sandbox_require(
		sandbox_run("ip link add va type veth peer name vb netns %d && "
			    "ip addr add 10.99.0.1/24 dev va && ip link set va up && "
			    "nsenter --net=/proc/%d/ns/net sh -c 'ip addr add 10.99.0.2/24 dev "
			    "vb && ip link set vb up'",
			    (int)client, (int)client) == 0,
		"a veth pair");
	sandbox_require(tagger_open(&options, &tagger) == 0, "attach");
	make_rules(&ruleset, rules, rules > 3 ? 16 : 2);
	sandbox_require(tagger_set_rules(tagger, &ruleset) == 0, "rules");
	sandbox_require(tagger_set_ports(tagger, &port, 1) == 0, "ports");
	connect_through(client, &connection);
	printf("%2u rules:", rules);
	printf(" 200 B %.0f ns,", time_live(tagger, &connection, 200));
	printf(" 1 KiB %.0f ns,", time_live(tagger, &connection, 1024));
	double middle = time_live(tagger, &connection, 8192);
	double large = time_live(tagger, &connection, 60000);
	printf(" 8 KiB %.0f ns, 60 KB %.0f ns (%.2f ns a further byte)\n", middle, large,
	       (large - middle) / (60000 - 8192));
	sandbox_disconnect(&connection);
	tagger_close(tagger);
	sandbox_run("ip link del va");
	kill(client, SIGTERM);
	waitpid(client, NULL, 0);
}

int main(void)
{
	char bpffs[PATH_MAX];

	sandbox_enter(bpffs);
	printf("programs\n");
	print_verified("may_goto");
	print_verified("bpf_loop");
	print_verified("bounded");
	printf("made packets (BPF_PROG_TEST_RUN)\n");
	bench_made(3);
	bench_made(64);
	int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	sandbox_require(statistics >= 0, "BPF statistics");
	printf("live packets (veth)\n");
	bench_live(3);
	bench_live(64);
	close(statistics);
	return 0;
}
