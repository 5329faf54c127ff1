/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bodies through sockets that a neighbour's BPF has put into a sockmap: there splice(2) may say
 * EAGAIN while recv(2) would give bytes. Nothing may stall, nothing may be lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/sandbox.h"
#include "proxy/http1/relay.h"
#include "proxy/worker/worker.h"

#define BODY_BYTES (12 * 1024 * 1024)
#define TURN_MS 2000 /* without any event: a stall */

/* One transfer: a writer thread → source │ relay │ sink → a reader thread. */
struct transfer {
	int writer, source, sink, reader;
	int map;
	int verdict;
	char *sent;
	char *got;
	size_t got_bytes;
	size_t enrol_after; /* bytes */
	_Atomic bool enrolled;
};

static void make_pair(int *ret_one, int *ret_other)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&address, &length);
	*ret_one = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*ret_one, (struct sockaddr *)&address, sizeof(address)), 0);
	*ret_other = accept(listener, NULL, NULL);
	assert_true(*ret_other >= 0);
	close(listener);
}

/* A map with a verdict program that lets everything pass: what an observing neighbour does. */
static void make_map(struct transfer *transfer)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};

	transfer->map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "neighbour", 4, 4, 8, NULL);
	assert_true(transfer->map >= 0);
	transfer->verdict = bpf_prog_load(BPF_PROG_TYPE_SK_SKB, "pass", "GPL", pass, 2, NULL);
	assert_true(transfer->verdict >= 0);
	assert_int_equal(
		bpf_prog_attach(transfer->verdict, transfer->map, BPF_SK_SKB_STREAM_VERDICT, 0), 0);
}

static void enrol(const struct transfer *transfer, uint32_t index, int fd)
{
	uint64_t value = (uint64_t)fd;

	assert_int_equal(bpf_map_update_elem(transfer->map, &index, &value, BPF_ANY), 0);
}

static void *write_all(void *context)
{
	struct transfer *transfer = context;
	size_t done = 0;

	while (done < BODY_BYTES) {
		size_t piece = 1 + done * 7919 % 300000;

		/*
		 * The kernel itself mixes bytes up, for recv(2) as well, if they wait in a socket
		 * that is put into a sockmap: so none do.
		 */
		while (done == transfer->enrol_after && !transfer->enrolled)
			usleep(100);
		size_t end = done < transfer->enrol_after ? transfer->enrol_after : BODY_BYTES;
		if (piece > end - done)
			piece = end - done;
		ssize_t length = write(transfer->writer, transfer->sent + done, piece);
		if (length <= 0)
			break;
		done += (size_t)length;
		if (done % 5 == 0)
			usleep(200);
	}
	return NULL;
}

static void *read_all(void *context)
{
	struct transfer *transfer = context;

	while (transfer->got_bytes < BODY_BYTES) {
		ssize_t length = read(transfer->reader, transfer->got + transfer->got_bytes,
				      BODY_BYTES - transfer->got_bytes);

		if (length <= 0)
			break;
		transfer->got_bytes += (size_t)length;
	}
	return NULL;
}

static struct worker *make_worker(void)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	worker->scratch.received = malloc(SCRATCH_RECEIVE_BYTES);
	worker->loop.epoll_fd = epoll_create1(0);
	return worker;
}

static struct connection make_connection(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return (struct connection){
		.kind = CONNECTION_SESSION,
		.fd = fd,
		.state = CONNECTION_READABLE | CONNECTION_WRITABLE,
	};
}

/* Runs the relay until it ends or stalls. */
static enum relay_outcome run_relay(struct worker *worker, struct transfer *transfer,
				    struct relay *relay)
{
	struct connection source = make_connection(transfer->source);
	struct connection sink = make_connection(transfer->sink);
	enum relay_outcome outcome;
	struct epoll_event events[4];

	connection_watch(worker->loop.epoll_fd, &source, EPOLLIN | EPOLLRDHUP | EPOLLET);
	connection_watch(worker->loop.epoll_fd, &sink, EPOLLIN | EPOLLRDHUP | EPOLLET);
	for (;;) {
		if (!transfer->enrolled && relay->bytes == transfer->enrol_after) {
			enrol(transfer, 0, transfer->source);
			enrol(transfer, 1, transfer->sink);
			transfer->enrolled = true;
		}
		outcome = relay_run(worker, relay, &source, &sink);
		if (!transfer->enrolled && outcome == RELAY_WAIT &&
		    relay->bytes == transfer->enrol_after)
			continue; /* now is the time */
		if (outcome == RELAY_AGAIN)
			continue;
		if (outcome != RELAY_WAIT)
			break;
		int count = epoll_wait(worker->loop.epoll_fd, events, 4, TURN_MS);
		if (count <= 0)
			break;
		for (int i = 0; i < count; i++)
			connection_note_events(events[i].data.ptr, events[i].events);
	}
	print_message("# %llu bytes spliced, splice given up: %s\n",
		      (unsigned long long)worker->statistics.spliced_bytes,
		      source.state & CONNECTION_NO_SPLICE ? "yes" : "no");
	return outcome;
}

static void transfer_whole(size_t enrol_after)
{
	struct transfer transfer = {.enrol_after = enrol_after};
	struct worker *worker = make_worker();
	struct relay relay = {0};
	pthread_t writer, reader;

	transfer.sent = malloc(BODY_BYTES);
	transfer.got = malloc(BODY_BYTES);
	for (size_t i = 0; i < BODY_BYTES; i++)
		transfer.sent[i] = (char)(i * 2654435761U >> 13);
	make_pair(&transfer.writer, &transfer.source);
	make_pair(&transfer.sink, &transfer.reader);
	make_map(&transfer);
	relay_start(&relay, HTTP_FRAMING_CONTENT_LENGTH, BODY_BYTES);
	pthread_create(&writer, NULL, write_all, &transfer);
	pthread_create(&reader, NULL, read_all, &transfer);
	enum relay_outcome outcome = run_relay(worker, &transfer, &relay);
	shutdown(transfer.sink, SHUT_RDWR);
	shutdown(transfer.source, SHUT_RDWR);
	pthread_join(writer, NULL);
	pthread_join(reader, NULL);
	assert_int_equal(outcome, RELAY_DONE);
	assert_int_equal(transfer.got_bytes, BODY_BYTES);
	assert_memory_equal(transfer.got, transfer.sent, BODY_BYTES);

	relay_stop(worker, &relay);
	pipe_pool_free(&worker->pipes);
	int fds[] = {transfer.writer, transfer.source,	transfer.sink,	      transfer.reader,
		     transfer.map,    transfer.verdict, worker->loop.epoll_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	free(transfer.sent);
	free(transfer.got);
	free(worker->scratch.received);
	free(worker);
}

static void bodies_are_spliced_where_nobody_interferes(void **state)
{
	(void)state;
	transfer_whole(BODY_BYTES);
}

static void sockets_in_a_sockmap_from_the_start_lose_nothing_and_do_not_stall(void **state)
{
	(void)state;
	transfer_whole(0);
}

static void sockets_put_into_a_sockmap_within_a_body_lose_nothing_and_do_not_stall(void **state)
{
	(void)state;
	transfer_whole(BODY_BYTES / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_are_spliced_where_nobody_interferes),
		cmocka_unit_test(sockets_in_a_sockmap_from_the_start_lose_nothing_and_do_not_stall),
		cmocka_unit_test(
			sockets_put_into_a_sockmap_within_a_body_lose_nothing_and_do_not_stall),
	};

	if (sandbox_is_skipped("relay sockmap"))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
