/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/filters.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/array.h"

static uint32_t attribute_u32(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (RTA_PAYLOAD(attribute) >= sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

static uint32_t program_of(const struct rtattr *options)
{
	int length = (int)RTA_PAYLOAD(options);

	for (const struct rtattr *at = RTA_DATA(options); RTA_OK(at, length);
	     at = RTA_NEXT(at, length)) {
		if ((at->rta_type & NLA_TYPE_MASK) == TCA_BPF_ID)
			return attribute_u32(at);
	}
	return 0;
}

/* False for what stands for a whole priority (no handle) rather than for one filter. */
static bool parse_filter(const struct nlmsghdr *message, struct filter *ret_filter)
{
	const struct tcmsg *header = NLMSG_DATA(message);
	int length = (int)NLMSG_PAYLOAD(message, sizeof(*header));
	struct filter filter = {.priority = header->tcm_info >> 16, .handle = header->tcm_handle};

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) || filter.handle == 0)
		return false;
	for (const struct rtattr *at = TCA_RTA(header); RTA_OK(at, length);
	     at = RTA_NEXT(at, length)) {
		if ((at->rta_type & NLA_TYPE_MASK) == TCA_OPTIONS)
			filter.program_id = program_of(at);
	}
	*ret_filter = filter;
	return true;
}

static int request_dump(int netlink, unsigned interface, uint32_t parent)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg body;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETTFILTER,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			   .nlmsg_seq = 1},
		.body = {.tcm_family = AF_UNSPEC,
			 .tcm_ifindex = (int)interface,
			 .tcm_parent = parent},
	};

	return send(netlink, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* 1: more to come; 0: the end; else a negative errno. */
static int take_messages(const char *bytes, size_t size, struct filter **filters, size_t *count)
{
	int length = (int)size;

	for (const struct nlmsghdr *at = (const void *)bytes; NLMSG_OK(at, (unsigned)length);
	     at = NLMSG_NEXT(at, length)) {
		struct filter filter;

		if (at->nlmsg_type == NLMSG_DONE)
			return 0;
		if (at->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(at))->error;
		if (at->nlmsg_type != RTM_NEWTFILTER || !parse_filter(at, &filter))
			continue;
		struct filter *slot = ARRAY_APPEND(*filters, *count);
		if (slot == NULL)
			return -ENOMEM;
		*slot = filter;
	}
	return 1;
}

static int list_parent(unsigned interface, uint32_t parent, struct filter **ret_filters,
		       size_t *ret_count)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	static const size_t size = 32768;
	struct filter *filters = NULL;
	size_t count = 0;
	int more;
	char *bytes;

	if (netlink < 0)
		return -errno;
	bytes = malloc(size);
	more = bytes ? request_dump(netlink, interface, parent) : -ENOMEM;
	for (more = more ? more : 1; more > 0;) {
		ssize_t length = recv(netlink, bytes, size, 0);

		if (length < 0 && errno == EINTR)
			continue;
		more = length < 0 ? -errno : take_messages(bytes, (size_t)length, &filters, &count);
	}
	free(bytes);
	close(netlink);
	if (more < 0) {
		free(filters);
		return more;
	}
	*ret_filters = filters;
	*ret_count = count;
	return 0;
}

/* By enum filter_direction. */
static const uint32_t parents[] = {
	[FILTER_INGRESS] = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
	[FILTER_EGRESS] = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
};

int filters_list(unsigned interface, enum filter_direction direction, struct filter **ret_filters,
		 size_t *ret_count)
{
	return list_parent(interface, parents[direction], ret_filters, ret_count);
}

static bool priority_taken(const struct filter *filters, size_t count, uint32_t priority)
{
	for (size_t i = 0; i < count; i++) {
		if (filters[i].priority == priority)
			return true;
	}
	return false;
}

static struct bpf_tc_hook hook_of(unsigned interface, enum filter_direction direction)
{
	return (struct bpf_tc_hook){.sz = sizeof(struct bpf_tc_hook),
				    .ifindex = (int)interface,
				    .attach_point = direction == FILTER_EGRESS ? BPF_TC_EGRESS
									       : BPF_TC_INGRESS};
}

/* True if neither direction of the qdisc has a filter. */
static bool qdisc_is_unused(unsigned interface)
{
	for (size_t i = 0; i < ARRAY_LENGTH(parents); i++) {
		struct filter *filters = NULL;
		size_t count = 0;

		if (list_parent(interface, parents[i], &filters, &count) < 0)
			return false;
		free(filters);
		if (count > 0)
			return false;
	}
	return true;
}

static void remove_qdisc(unsigned interface)
{
	struct bpf_tc_hook hook = hook_of(interface, FILTER_INGRESS);

	if (!qdisc_is_unused(interface))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}

int filters_attach(unsigned interface, enum filter_direction direction, int program,
		   uint32_t *ret_priority, bool *ret_made_qdisc)
{
	struct bpf_tc_hook hook = hook_of(interface, direction);
	struct filter *filters = NULL;
	size_t count = 0;
	int error = bpf_tc_hook_create(&hook);
	bool made_qdisc = error == 0;

	if (error && error != -EEXIST)
		return error;
	error = filters_list(interface, direction, &filters, &count);
	for (uint32_t priority = FILTER_FIRST_PRIORITY; error == 0; priority++) {
		LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program, .handle = FILTER_HANDLE,
			    .priority = priority);

		if (priority_taken(filters, count, priority))
			continue;
		error = bpf_tc_attach(&hook, &options);
		/* Somebody took it meanwhile; the last chance is beyond all that were there. */
		if (error == -EEXIST && priority < FILTER_FIRST_PRIORITY + count + 8) {
			error = 0;
			continue;
		}
		if (error == 0) {
			*ret_priority = priority;
			*ret_made_qdisc = made_qdisc;
		}
		break;
	}
	free(filters);
	if (error && made_qdisc)
		remove_qdisc(interface);
	return error;
}

int filters_replace(unsigned interface, enum filter_direction direction, int program,
		    uint32_t priority)
{
	struct bpf_tc_hook hook = hook_of(interface, direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program, .handle = FILTER_HANDLE,
		    .priority = priority, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &options);
}

static bool runs_ours(const struct filter *filter, uint32_t priority, const uint32_t *program_ids,
		      size_t count)
{
	if (filter->priority != priority || filter->handle != FILTER_HANDLE)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (filter->program_id == program_ids[i] && filter->program_id != 0)
			return true;
	}
	return false;
}

int filters_detach(unsigned interface, enum filter_direction direction, uint32_t priority,
		   const uint32_t *program_ids, size_t count, bool made_qdisc)
{
	struct bpf_tc_hook hook = hook_of(interface, direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = priority);
	struct filter *filters = NULL;
	size_t filter_count = 0;
	bool ours = false;
	int error = filters_list(interface, direction, &filters, &filter_count);

	for (size_t i = 0; i < filter_count && !ours; i++)
		ours = runs_ours(&filters[i], priority, program_ids, count);
	free(filters);
	if (error)
		return error == -ENODEV || error == -EINVAL ? 0 : error;
	if (ours)
		error = bpf_tc_detach(&hook, &options);
	if (made_qdisc)
		remove_qdisc(interface);
	return error;
}
