/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The loaded program and its maps. Of several variants of the program the first that this kernel
 * loads is taken: they decide alike and differ only in how they loop.
 */
#include <stdbool.h>
#include <stdint.h>
#include "kernel/pins.h"

struct bpf_object;

enum program_kind {
	PROGRAM_TAGGER,
	PROGRAM_ARRIVALS,
};

struct program_options {
	enum program_kind kind;
	const char *variant; /* NULL: the first that loads */
	uint32_t capacity;   /* of ARRIVALS: entries of its tables, a power of two */
	bool deliveries;     /* of ARRIVALS: for threads, too */
};

struct program {
	struct bpf_object *object;
	const char *variant; /* may_goto, bpf_loop … */
	int fd;		     /* owned by the object */
	uint64_t layout;
	bool taken_over; /* the maps are those that an earlier agent pinned */
};

/*
 * Loads, with the maps pinned under `pins` where they fit. 0, or the negative errno of the last
 * try; the log then says what the kernel lacks.
 */
int program_load(const struct pins *pins, const struct program_options *options,
		 struct program *ret_program);
/*
 * Pins the program, and the arrays of programs that it jumps through (they empty themselves once
 * nobody holds them), beside those of an earlier agent that may still run; program_settle then puts
 * them in their place. 0 or a negative errno.
 */
int program_pin(const struct program *program, const struct pins *pins);
int program_settle(const struct program *program, const struct pins *pins);
void program_unpin(const struct program *program, const struct pins *pins);
void program_unload(struct program *program);

/* True if a variant of the program has maps of this layout. */
bool program_knows_layout(enum program_kind kind, uint64_t fingerprint);

/* Gives a constant of the program this value, before it is loaded. 0 or a negative errno. */
int program_set_constant(struct bpf_object *object, const char *name, const void *value,
			 size_t size);

/* The descriptor of a map, owned by the object; -ENOENT if the program has no such map. */
int program_map(const struct program *program, const char *name);
