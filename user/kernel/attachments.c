/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/attachments.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/log.h"
#include "kernel/filters.h"

/* Linux 6.6; the headers that we build with may be older. */
#define ATTACH_TYPE_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TYPE_TCX_EGRESS ((enum bpf_attach_type)47)
#define LINK_TYPE_TCX 11
#define ATTACH_FLAG_BEFORE (1U << 3)

#define LINK_PREFIX "link-"
#define FILTER_PREFIX "filter-"

static bool is_attached(const struct attachment *item)
{
	return item->link >= 0 || item->priority != 0;
}

/* Arrivals are seen on the way to the pod, behind its interface on the node. */
static enum filter_direction direction(const struct attachments *attachments)
{
	return attachments->options->purpose == TAGGER_ARRIVALS ? FILTER_EGRESS : FILTER_INGRESS;
}

static void pin_name(const struct attachments *attachments, const struct attachment *item,
		     char *name, size_t size)
{
	unsigned long long netns = attachments->network_namespace;

	if (item->link >= 0)
		snprintf(name, size, LINK_PREFIX "%llu-%u", netns, item->interface);
	else
		snprintf(name, size, FILTER_PREFIX "%llu-%u-%u-%s", netns, item->interface,
			 item->priority, item->made_qdisc ? "made" : "found");
}

static void pin(const struct attachments *attachments, const struct attachment *item)
{
	char name[NAME_MAX];
	int error;

	pin_name(attachments, item, name, sizeof(name));
	error = pins_replace(attachments->pins, name,
			     item->link >= 0 ? item->link : attachments->program);
	if (error)
		log_warning("cannot pin an attachment", log_text("interface", item->name),
			    log_errno(error));
}

static void detach(struct attachments *attachments, struct attachment *item)
{
	char name[NAME_MAX];
	int error = 0;

	if (!is_attached(item))
		return;
	pin_name(attachments, item, name, sizeof(name));
	if (item->link >= 0)
		close(item->link);
	else
		error = filters_detach(item->interface, direction(attachments), item->priority,
				       attachments->own_programs, attachments->own_program_count,
				       item->made_qdisc);
	if (error)
		log_warning("cannot detach", log_text("interface", item->name), log_errno(error));
	pins_remove(attachments->pins, name);
	item->link = -1;
	item->priority = 0;
}

/* The interface that a link is attached to; 0 if that is gone, or the link is none of TCX. */
static unsigned link_interface(int link)
{
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(link, &info, &length) < 0 || info.type != LINK_TYPE_TCX)
		return 0;
	/* The headers' union may end before .tcx, whose ifindex stands first, as netns_ino does. */
	return info.netns.netns_ino;
}

static bool filter_stands(const struct attachments *attachments, const struct attachment *item)
{
	uint32_t wanted = pins_program_id(attachments->program);
	struct filter *filters = NULL;
	bool stands = false;
	size_t count = 0;

	if (filters_list(item->interface, direction(attachments), &filters, &count) < 0)
		return false;
	for (size_t i = 0; i < count && !stands; i++)
		stands = filters[i].priority == item->priority &&
			 filters[i].handle == FILTER_HANDLE && filters[i].program_id == wanted;
	free(filters);
	return stands;
}

static int attach_tcx(const struct attachments *attachments, struct attachment *item)
{
	/* Before all others: ours always gives TCX_NEXT, others' verdicts would end the chain. */
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = ATTACH_FLAG_BEFORE);
	int link =
		bpf_link_create(attachments->program, (int)item->interface,
				direction(attachments) == FILTER_EGRESS ? ATTACH_TYPE_TCX_EGRESS
									: ATTACH_TYPE_TCX_INGRESS,
				&options);

	if (link < 0)
		return -errno;
	item->link = link;
	return 0;
}

static int attach(struct attachments *attachments, struct attachment *item)
{
	enum tagger_hook hook = attachments->options->hook;
	int error = -EINVAL;

	if (hook != TAGGER_HOOK_CLSACT && !attachments->no_tcx) {
		error = attach_tcx(attachments, item);
		if (error == -EINVAL && hook == TAGGER_HOOK_ANY) {
			attachments->no_tcx = true;
			log_info("the kernel has no TCX links, clsact filters are used",
				 log_text("missing", "tcx"));
		}
	}
	if (error == -EINVAL && hook != TAGGER_HOOK_TCX)
		error = filters_attach(item->interface, direction(attachments),
				       attachments->program, &item->priority, &item->made_qdisc);
	if (error)
		return error;
	pin(attachments, item);
	log_info("attached", log_text("interface", item->name),
		 log_text("hook", item->link >= 0 ? "tcx" : "clsact"));
	return 0;
}

/* An earlier agent's attachment gets our program in one step; where that fails, a fresh one is
 * made. */
static void renew(struct attachments *attachments, struct attachment *item)
{
	int error;

	if (item->link >= 0)
		error = bpf_link_update(item->link, attachments->program, NULL) < 0 ? -errno : 0;
	else
		error = filters_replace(item->interface, direction(attachments),
					attachments->program, item->priority);
	item->stale = false;
	if (error) {
		log_warning("cannot take over an attachment", log_text("interface", item->name),
			    log_errno(error));
		detach(attachments, item);
		return;
	}
	pin(attachments, item);
	log_info("taken over", log_text("interface", item->name),
		 log_text("hook", item->link >= 0 ? "tcx" : "clsact"));
}

static bool still_stands(const struct attachments *attachments, const struct attachment *item)
{
	if (item->link >= 0)
		return link_interface(item->link) == item->interface;
	return filter_stands(attachments, item);
}

static void ensure_attached(struct attachments *attachments, struct attachment *item)
{
	int error;

	if (is_attached(item) && item->stale)
		renew(attachments, item);
	if (is_attached(item) && !still_stands(attachments, item)) {
		log_warning("an attachment was removed by others",
			    log_text("interface", item->name));
		detach(attachments, item);
	}
	if (is_attached(item))
		return;
	error = attach(attachments, item);
	if (error && error != -ENODEV && error != item->error)
		log_warning("cannot attach", log_text("interface", item->name), log_errno(error));
	item->error = error;
}

static bool wanted(const struct tagger_options *options, const char *name)
{
	for (size_t i = 0; i < options->interface_count; i++) {
		if (fnmatch(options->interfaces[i], name, 0) == 0)
			return true;
	}
	return false;
}

static struct attachment *find_or_add(struct attachments *attachments, unsigned interface)
{
	struct attachment *item;

	for (size_t i = 0; i < attachments->count; i++) {
		if (attachments->items[i].interface == interface)
			return &attachments->items[i];
	}
	item = ARRAY_APPEND(attachments->items, attachments->count);
	if (item) {
		item->interface = interface;
		item->link = -1;
	}
	return item;
}

/* Detaches from what is gone, renamed away from the patterns, or in another namespace. */
static void drop_absent(struct attachments *attachments)
{
	size_t kept = 0;

	for (size_t i = 0; i < attachments->count; i++) {
		struct attachment *item = &attachments->items[i];

		if (item->present) {
			attachments->items[kept++] = *item;
			continue;
		}
		if (is_attached(item))
			log_info("detached", log_text("interface", item->name));
		detach(attachments, item);
	}
	attachments->count = kept;
}

int attachments_reconcile(struct attachments *attachments)
{
	struct if_nameindex *interfaces = if_nameindex();
	int error = 0;

	if (interfaces == NULL)
		return -errno;
	for (size_t i = 0; i < attachments->count; i++)
		attachments->items[i].present = false;
	for (const struct if_nameindex *at = interfaces; at->if_index != 0; at++) {
		if (!wanted(attachments->options, at->if_name))
			continue;
		struct attachment *item = find_or_add(attachments, at->if_index);
		if (item == NULL) {
			error = -ENOMEM;
			break;
		}
		snprintf(item->name, sizeof(item->name), "%s", at->if_name);
		item->present = true;
		ensure_attached(attachments, item);
		if (item->error)
			error = item->error;
	}
	if_freenameindex(interfaces);
	if (error != -ENOMEM)
		drop_absent(attachments);
	return attachments_standing(attachments) > 0 ? 0 : error;
}

static void add_own_program(struct attachments *attachments, uint32_t id)
{
	uint32_t *slot;

	for (size_t i = 0; i < attachments->own_program_count; i++) {
		if (attachments->own_programs[i] == id)
			return;
	}
	slot = ARRAY_APPEND(attachments->own_programs, attachments->own_program_count);
	if (slot)
		*slot = id;
}

static int take_program(const char *name, void *context)
{
	struct attachments *attachments = context;
	int program = pins_get(attachments->pins, name);

	if (program >= 0) {
		add_own_program(attachments, pins_program_id(program));
		close(program);
	}
	return 0;
}

static int take_link(const char *name, void *context)
{
	struct attachments *attachments = context;
	int link = pins_get(attachments->pins, name), end = 0;
	unsigned long long netns = 0;
	struct attachment *item;
	unsigned interface = 0;

	sscanf(name, LINK_PREFIX "%llu-%u%n", &netns, &interface, &end);
	if (link >= 0 && end && name[end] == '\0' && netns == attachments->network_namespace &&
	    link_interface(link) == interface &&
	    (item = find_or_add(attachments, interface)) != NULL) {
		item->link = link;
		item->stale = true;
		return 0;
	}
	/* Of an interface that is gone, or of another namespace: without its pin the link ends. */
	if (link >= 0)
		close(link);
	pins_remove(attachments->pins, name);
	return 0;
}

static int take_filter(const char *name, void *context)
{
	struct attachments *attachments = context;
	unsigned interface = 0, priority = 0;
	unsigned long long netns = 0;
	struct attachment *item;
	char qdisc[8] = "";

	take_program(name, context);
	if (sscanf(name, FILTER_PREFIX "%llu-%u-%u-%7s", &netns, &interface, &priority, qdisc) ==
		    4 &&
	    netns == attachments->network_namespace && priority > 0 &&
	    (item = find_or_add(attachments, interface)) != NULL && item->link < 0) {
		item->priority = priority;
		item->made_qdisc = strcmp(qdisc, "made") == 0;
		item->stale = true;
		return 0;
	}
	if (netns != 0 && netns != attachments->network_namespace)
		log_warning("a filter in another network namespace is out of reach",
			    log_number("namespace", netns), log_number("interface", interface));
	pins_remove(attachments->pins, name);
	return 0;
}

/* A filter that went with its interface or was removed by others is nothing to take over. */
static void forget_vanished_filters(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++) {
		struct attachment *item = &attachments->items[i];
		struct filter *filters = NULL;
		bool stands = false;
		size_t count = 0;

		if (item->priority == 0)
			continue;
		filters_list(item->interface, direction(attachments), &filters, &count);
		for (size_t f = 0; f < count; f++) {
			for (size_t p = 0; p < attachments->own_program_count; p++)
				stands |= filters[f].priority == item->priority &&
					  filters[f].handle == FILTER_HANDLE &&
					  filters[f].program_id == attachments->own_programs[p];
		}
		free(filters);
		if (!stands)
			detach(attachments, item);
	}
}

int attachments_open(struct attachments *attachments, const struct tagger_options *options,
		     struct pins *pins, int program)
{
	int error;

	*attachments = (struct attachments){
		.options = options,
		.pins = pins,
		.program = program,
		.network_namespace = pins_network_namespace(),
	};
	add_own_program(attachments, pins_program_id(program));
	error = pins_each(pins, "program", take_program, attachments);
	if (error == 0)
		error = pins_each(pins, LINK_PREFIX, take_link, attachments);
	if (error == 0)
		error = pins_each(pins, FILTER_PREFIX, take_filter, attachments);
	if (error) {
		attachments_release(attachments);
		return error;
	}
	forget_vanished_filters(attachments);
	return 0;
}

void attachments_release(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++) {
		if (attachments->items[i].link >= 0)
			close(attachments->items[i].link);
	}
	free(attachments->items);
	free(attachments->own_programs);
	attachments->items = NULL;
	attachments->own_programs = NULL;
	attachments->count = attachments->own_program_count = 0;
}

void attachments_close(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++)
		detach(attachments, &attachments->items[i]);
	attachments_release(attachments);
}

size_t attachments_standing(const struct attachments *attachments)
{
	size_t standing = 0;

	for (size_t i = 0; i < attachments->count; i++)
		standing += is_attached(&attachments->items[i]);
	return standing;
}

static int note(const char *name, void *found)
{
	(void)name;
	*(bool *)found = true;
	return 0;
}

bool attachments_are_pinned_here(const struct pins *pins)
{
	static const char *const prefixes[] = {LINK_PREFIX, FILTER_PREFIX};
	bool found = false;

	for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
		char prefix[NAME_MAX];

		snprintf(prefix, sizeof(prefix), "%s%llu-", prefixes[i],
			 (unsigned long long)pins_network_namespace());
		pins_each(pins, prefix, note, &found);
	}
	return found;
}
