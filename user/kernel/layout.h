/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Whether the maps that an earlier agent pinned can serve this agent's program: by their kinds and
 * sizes, and by a fingerprint over the BTF of their keys and values (a field that moved, or changed
 * its name, is another layout). All maps are taken over or none, so that they never contradict each
 * other.
 */
#include <stdbool.h>
#include <stdint.h>
#include "kernel/pins.h"

struct bpf_object;
struct bpf_map;

/* True for the maps that carry state from one agent to the next. */
bool layout_is_lasting(const struct bpf_map *map);

/* Of an object that is open but not loaded: loading makes libbpf forget types that the kernel does
 * not take. */
uint64_t layout_fingerprint(const struct bpf_object *object);

/* The fingerprint of what is pinned. 0, or a negative errno: -ENOENT where nothing is. */
int layout_of_pins(const struct pins *pins, uint64_t *ret_fingerprint);

/* True if every lasting map of `object` is pinned, with the layout of this fingerprint. */
bool layout_matches_pins(const struct bpf_object *object, uint64_t fingerprint,
			 const struct pins *pins);

/* Pins the lasting maps (unless they are those pinned already) and then the fingerprint. 0 or a
 * negative errno. */
int layout_pin(const struct bpf_object *object, uint64_t fingerprint, const struct pins *pins,
	       bool taken_over);
/* Unpins every lasting map, those of other layouts too, and the fingerprint. */
void layout_unpin(const struct pins *pins);
