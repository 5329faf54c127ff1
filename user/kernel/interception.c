/* SPDX-License-Identifier: GPL-2.0-only */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/array.h"
#include "base/buffer.h"
#include "base/log.h"
#include "kernel/interception_internal.h"
#include "kernel/layout.h"
#include "kernel/libbpf_log.h"
#include "kernel/obstacles.h"

#include "bpf/interception.skel.h"

/* Our own calls are told by the network namespace that they come from. -ENOPROTOOPT before Linux
 * 5.14. */
static int own_namespace(__u64 *ret_cookie)
{
	socklen_t length = sizeof(*ret_cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &length) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int open_cgroup(const char *wanted)
{
	struct buffer advice = {0};
	const char *path = obstacles_find_cgroup(wanted, &advice);
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int error = fd < 0 ? (path ? -errno : -ENOENT) : 0;

	if (error)
		log_error("no cgroup to intercept calls of",
			  log_text("path", path	    ? path
					   : wanted ? wanted
						    : "-"),
			  log_errno(error), log_text("advice", buffer_text(&advice)));
	buffer_free(&advice);
	return error ? error : fd;
}

static void log_refusal(const char *what, int error)
{
	struct buffer reasons = {0};

	obstacles_explain(-error, &reasons);
	log_error(
		"calls cannot be intercepted by this kernel", log_text("step", what),
		log_text("error", buffer_text(&reasons)),
		log_text("needs", "cgroup/connect4 and 6, getpeername4 and 6, sockops: Linux 5.8"));
	buffer_free(&reasons);
}

static bool leads_here(const struct bpf_program *program)
{
	enum bpf_attach_type type = bpf_program__expected_attach_type(program);

	return type == BPF_CGROUP_INET4_CONNECT || type == BPF_CGROUP_INET6_CONNECT;
}

static int attach_those(struct interception *interception, int cgroup, bool leading)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, interception->object)
	{
		if (leads_here(program) != leading)
			continue;
		struct bpf_link *link = bpf_program__attach_cgroup(program, cgroup);

		if (!link)
			return -errno;
		interception->links[interception->link_count++] = link;
	}
	return 0;
}

/* A call that is led here without being noted would be reset: what leads comes last, goes first. */
static int attach(struct interception *interception, int cgroup)
{
	int error = attach_those(interception, cgroup, false);

	interception->noting_count = interception->link_count;
	return error ? error : attach_those(interception, cgroup, true);
}

static int find_maps(struct interception *interception)
{
	const struct {
		const char *name;
		int *fd;
	} maps[] = {
		{"lane_destinations", &interception->destinations},
		{"lane_pods", &interception->pods},
		{"lane_interception", &interception->settings},
		{"lane_heartbeat", &interception->heartbeat},
		{"lane_intercepted", &interception->intercepted},
		{"lane_interceptions", &interception->counts},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
		*maps[i].fd = bpf_object__find_map_fd_by_name(interception->object, maps[i].name);
		if (*maps[i].fd < 0)
			return -ENOENT;
	}
	return 0;
}

static int load(struct interception *interception)
{
	const void *elf;
	size_t size;
	int error;

	elf = interception_bpf__elf_bytes(&size);
	interception->object = bpf_object__open_mem(elf, size, NULL);
	if (!interception->object)
		return -errno;
	error = interception_pins_open(&interception->pins, interception->options.pin_directory,
				       layout_fingerprint(interception->object));
	if (error)
		return error;
	error = interception_pins_use(&interception->pins, interception->object);
	if (error == 0)
		error = bpf_object__load(interception->object);
	if (error == 0)
		error = find_maps(interception);
	if (error)
		log_refusal("load", error);
	return error;
}

static int start(struct interception *interception, int cgroup)
{
	const struct interception_options *options = &interception->options;
	struct lanetag_interception *state = &interception->state;
	uint32_t zero = 0;
	/*
	 * An agent before may go on with these maps: whom it selects stands until we know better.
	 */
	int error = bpf_map_lookup_elem(interception->settings, &zero, state) < 0 ? -errno : 0;
	bool known = own_namespace(&state->agent_namespace) == 0;

	if (error)
		return error;
	memcpy(state->agent, options->agent, sizeof(state->agent));
	state->fail_closed = options->fail_closed;
	if (bpf_map_update_elem(interception->settings, &zero, state, BPF_ANY) < 0)
		error = -errno;
	/* The word of an agent that was killed a moment ago doesn't hold for us: we don't serve yet. */
	if (error == 0 && interception->pins.alone)
		error = interception_renew(interception, 0);
	if (error == 0)
		error = attach(interception, cgroup);
	if (error == 0 && !known)
		error = interception_probe_namespace(interception);
	if (error == 0)
		error = interception_pins_links(&interception->pins, interception->links,
						interception->link_count, options->fail_closed);
	if (error)
		log_refusal("attach", error);
	return error;
}

static int check_rights(void)
{
	struct buffer missing = {0};
	int error = obstacles_check_rights(&missing);

	if (error)
		log_error("rights are missing to intercept calls",
			  log_text("missing", buffer_text(&missing)));
	buffer_free(&missing);
	return error;
}

int interception_open(const struct interception_options *options,
		      struct interception **ret_interception)
{
	struct interception *interception;
	int error = check_rights(), cgroup;

	if (error)
		return error;
	interception = calloc(1, sizeof(*interception));
	if (!interception)
		return -ENOMEM;
	interception->options = *options;
	interception->pins.lock = -1;
	libbpf_log_install();
	error = cgroup = open_cgroup(options->cgroup);
	if (cgroup >= 0) {
		error = load(interception);
		if (error == 0)
			error = start(interception, cgroup);
		close(cgroup);
	}
	if (error) {
		interception->options.fail_closed = false;
		interception_close(interception);
		return error;
	}
	*ret_interception = interception;
	return 0;
}

static void end_links(struct interception *interception, size_t keep)
{
	while (interception->link_count > keep)
		bpf_link__destroy(interception->links[--interception->link_count]);
}

void interception_detach(struct interception *interception)
{
	if (interception)
		end_links(interception, interception->noting_count);
}

void interception_close(struct interception *interception)
{
	if (!interception)
		return;
	end_links(interception, 0);
	if (interception->object)
		bpf_object__close(interception->object);
	interception_pins_close(&interception->pins, interception->options.fail_closed);
	free(interception);
}

const struct lanetag_destination *interception_agent(const struct interception *interception,
						     enum lanetag_address_family family)
{
	return &interception->options.agent[family];
}
