/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/threads.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/buffer.h"
#include "base/log.h"
#include "kernel/libbpf_log.h"
#include "kernel/obstacles.h"
#include "kernel/tagger_internal.h"

#include "bpf/threads.skel.h"

#define EARLY_PROGRAM "threads_send_early"
#define MAX_LINKS 4

struct threads {
	struct bpf_object *object;
	struct bpf_link *links[MAX_LINKS];
	size_t link_count;
};

/* The maps that the arrivals' program writes are the ones that are read here. */
static int share_maps(struct bpf_object *object, const struct tagger *arrivals)
{
	static const char *const names[] = {"lane_ports", "lane_deliveries"};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(names) && error == 0; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, names[i]);
		int fd = program_map(&arrivals->program, names[i]);

		error = map && fd >= 0 ? bpf_map__reuse_fd(map, fd) : -ENOENT;
	}
	return error;
}

/* Linux 6.16 and later say before the bytes leave that a thread sends. */
static bool kernel_tells_early(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool known = btf && btf__find_by_name_kind(btf, "btf_trace_tcp_sendmsg_locked",
						   BTF_KIND_TYPEDEF) > 0;

	btf__free(btf);
	return known;
}

static int set_up(struct bpf_object *object, const struct tagger *arrivals)
{
	struct bpf_program *early = bpf_object__find_program_by_name(object, EARLY_PROGRAM);
	struct bpf_map *calls = bpf_object__find_map_by_name(object, "lane_calls");
	uint32_t calls_are_early = kernel_tells_early();
	int error = early && calls ? 0 : -ENOENT;

	if (error == 0)
		error = bpf_program__set_autoload(early, calls_are_early);
	if (error == 0)
		error = bpf_map__set_max_entries(calls, arrivals->options.capacity);
	if (error == 0)
		error = program_set_constant(object, "calls_are_early", &calls_are_early,
					     sizeof(calls_are_early));
	if (error == 0)
		error = share_maps(object, arrivals);
	return error;
}

static int name_programs(const struct bpf_object *object, const struct threads_options *options)
{
	int map = bpf_object__find_map_fd_by_name(object, "lane_programs");

	for (size_t i = 0; i < options->program_count; i++) {
		char name[LANETAG_PROGRAM_NAME] = "";
		uint32_t one = 1;

		snprintf(name, sizeof(name), "%s",
			 options->programs[i]); /* cut as the kernel does */
		if (bpf_map_update_elem(map, name, &one, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static int attach(struct threads *threads)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, threads->object)
	{
		struct bpf_link *link;

		if (!bpf_program__autoload(program))
			continue;
		link = bpf_program__attach(program);
		if (link == NULL)
			return -errno;
		threads->links[threads->link_count++] = link;
	}
	return 0;
}

static void log_failure(int error)
{
	struct buffer reasons = {0};

	obstacles_explain(-error, &reasons);
	log_warning("threads cannot be followed by this kernel",
		    log_text("missing", "tracepoints sock_recv_length and sock_send_length (Linux "
					"6.3), BTF, or rights"),
		    log_text("error", buffer_text(&reasons)));
	buffer_free(&reasons);
}

int threads_open(const struct tagger *arrivals, const struct threads_options *options,
		 struct threads **ret_threads)
{
	struct threads *threads = calloc(1, sizeof(*threads));
	const void *elf;
	size_t size;
	int error;

	if (threads == NULL)
		return -ENOMEM;
	libbpf_log_install();
	elf = threads_bpf__elf_bytes(&size);
	threads->object = bpf_object__open_mem(elf, size, NULL);
	error = threads->object ? 0 : -errno;
	if (error == 0)
		error = set_up(threads->object, arrivals);
	if (error == 0)
		error = bpf_object__load(threads->object);
	if (error == 0)
		error = name_programs(threads->object, options);
	if (error == 0)
		error = attach(threads);
	if (error) {
		log_failure(error);
		threads_close(threads);
		return error;
	}
	log_info("threads are followed",
		 log_text("calls", threads->link_count == MAX_LINKS ? "early" : "late"));
	*ret_threads = threads;
	return 0;
}

void threads_close(struct threads *threads)
{
	if (threads == NULL)
		return;
	for (size_t i = 0; i < threads->link_count; i++)
		bpf_link__destroy(threads->links[i]);
	bpf_object__close(threads->object);
	free(threads);
}

int threads_set_ports(struct threads *threads, const uint16_t *ports, size_t port_count)
{
	return tables_set_ports(bpf_object__find_map_fd_by_name(threads->object, "lane_hop_ports"),
				ports, port_count);
}

enum arrivals_outcome threads_find(const struct threads *threads,
				   const struct lanetag_connection *connection, uint64_t position,
				   struct arrivals_tags *ret_tags)
{
	int map = bpf_object__find_map_fd_by_name(threads->object, "lane_calls");
	struct lanetag_call call;

	if (bpf_map_lookup_elem(map, connection, &call) < 0 || position < call.from ||
	    position > call.last)
		return ARRIVALS_NONE;
	if (call.length > LANETAG_ARRIVAL_MAX_TAGS ||
	    call.check != lanetag_call_check(connection, &call))
		return ARRIVALS_AMBIGUOUS;
	ret_tags->length = call.length;
	memcpy(ret_tags->text, call.tags, call.length);
	return ARRIVALS_FOUND;
}

int threads_counts(const struct threads *threads, uint64_t ret_counts[LANETAG_THREAD_COUNTS])
{
	return tables_sum_map(
		bpf_object__find_map_fd_by_name(threads->object, "lane_thread_counts"),
		LANETAG_THREAD_COUNTS, ret_counts);
}

const char *threads_count_name(size_t count)
{
	static const char *const names[] = {
		[LANETAG_THREAD_REQUESTS] = "requests",
		[LANETAG_THREAD_CALLS] = "calls",
		[LANETAG_THREAD_PROBATION] = "probation",
		[LANETAG_THREAD_UNKNOWN] = "unknown",
		[LANETAG_THREAD_PIPELINED] = "pipelined",
		[LANETAG_THREAD_NONBLOCKING] = "given_up_nonblocking",
		[LANETAG_THREAD_WATCHED] = "given_up_watched",
		[LANETAG_THREAD_SHARED] = "given_up_shared",
		[LANETAG_THREAD_HANDED_OVER] = "given_up_handed_over",
	};

	_Static_assert(ARRAY_LENGTH(names) == LANETAG_THREAD_COUNTS, "every count has a name");
	return count < LANETAG_THREAD_COUNTS ? names[count] : "unknown";
}
