/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the files of interception share; nobody else includes it. */
#include <limits.h>
#include <stdatomic.h>
#include "kernel/interception.h"

struct bpf_link;
struct bpf_object;

#define INTERCEPTION_MAX_LINKS 5

/* The files beside the maps that overlapping agents share. */
struct interception_pins {
	char root[PATH_MAX / 2]; /* links stand here; "": nothing is pinned */
	char maps[PATH_MAX / 2 + 20];
	int lock;   /* a shared flock of `maps` while an agent uses them; or -1 */
	bool alone; /* no other agent used them when this one came */
};

struct interception {
	struct interception_options options;
	struct interception_pins pins;
	struct bpf_object *object;
	struct bpf_link *links[INTERCEPTION_MAX_LINKS];
	size_t link_count, noting_count; /* first those that note, then those that lead here */
	int destinations, pods, settings, heartbeat, intercepted, counts; /* of the object */
	_Atomic size_t destination_count;
	struct lanetag_interception state; /* as it stands in the kernel */
};

/*
 * interception_maps.c: lets the attached programs see a connect of ours, and so our network
 * namespace. They don't if we aren't in the cgroup; then no call of ours is intercepted either. 0
 * or a negative errno.
 */
int interception_probe_namespace(struct interception *interception);

/*
 * interception_pins.c: makes and locks the directory of this layout, and removes those of others
 * that no agent uses any more. 0 or a negative errno.
 */
int interception_pins_open(struct interception_pins *pins, const char *directory, uint64_t layout);
/* Takes maps of an agent before over, or pins the new ones when they are made. */
int interception_pins_use(const struct interception_pins *pins, struct bpf_object *object);
/*
 * Calls for the `lane_intercepted` of each agent with another layout that overlaps with this one,
 * until one call gives true. Any thread may call it.
 */
bool interception_pins_ask_others(const struct interception_pins *pins,
				  bool (*ask)(int map, void *context), void *context);
/* Links stay (`keep`), or those of an agent before go. 0 or a negative errno. */
int interception_pins_links(const struct interception_pins *pins, struct bpf_link *const *links,
			    size_t count, bool keep);
/* Removes the maps' pins unless another agent uses them or they have to stay. */
void interception_pins_close(struct interception_pins *pins, bool keep);
