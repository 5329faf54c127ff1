/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/program.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lanetag/arrival.h>
#include "base/array.h"
#include "base/buffer.h"
#include "base/log.h"
#include "kernel/layout.h"
#include "kernel/obstacles.h"

#include "bpf/arrivals.skel.h"
#include "bpf/arrivals_bounded.skel.h"
#include "bpf/tagger.skel.h"
#include "bpf/tagger_bounded.skel.h"

#define PROGRAM_PIN "program"
#define FRESH_SUFFIX "-new"
#define CONSTANTS ".rodata"

struct variant {
	enum program_kind kind;
	const char *name;
	const void *(*elf)(size_t *ret_size);
	const char *program; /* and those whose names go on behind it */
};

/* The best first. */
static const struct variant variants[] = {
	{PROGRAM_TAGGER, "may_goto", tagger_bpf__elf_bytes, "tagger_may_goto"},
	{PROGRAM_TAGGER, "bpf_loop", tagger_bpf__elf_bytes, "tagger_bpf_loop"},
	{PROGRAM_TAGGER, "bounded", tagger_bounded_bpf__elf_bytes, "tagger_bounded"},
	{PROGRAM_ARRIVALS, "may_goto", arrivals_bpf__elf_bytes, "arrivals_may_goto"},
	{PROGRAM_ARRIVALS, "bpf_loop", arrivals_bpf__elf_bytes, "arrivals_bpf_loop"},
	{PROGRAM_ARRIVALS, "bounded", arrivals_bounded_bpf__elf_bytes, "arrivals_bounded"},
};

static const char *const kind_names[] = {
	[PROGRAM_TAGGER] = "tagger",
	[PROGRAM_ARRIVALS] = "arrivals",
};

/* Leaves out the other variants' programs. The variant's entry, or NULL: it was not built. */
static struct bpf_program *choose_programs(struct bpf_object *object, const struct variant *variant)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		const char *name = bpf_program__name(program);
		bool ours = strncmp(name, variant->program, strlen(variant->program)) == 0;

		bpf_program__set_autoload(program, ours);
	}
	return bpf_object__find_program_by_name(object, variant->program);
}

static int reuse_pinned(struct bpf_object *object, const struct pins *pins)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		int error, fd;

		if (!layout_is_lasting(map))
			continue;
		fd = pins_get(pins, bpf_map__name(map));
		if (fd < 0)
			return fd;
		error = bpf_map__reuse_fd(map, fd); /* takes a copy */
		close(fd);
		if (error)
			return error;
	}
	return 0;
}

/* The place of a constant in the object's section of constants; -ENOENT: it has none such. */
static int constant_offset(const struct btf *btf, const char *name, size_t size)
{
	int id = btf__find_by_name_kind(btf, CONSTANTS, BTF_KIND_DATASEC);
	const struct btf_type *section = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	for (uint32_t i = 0; section && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *item = &btf_var_secinfos(section)[i];
		const struct btf_type *variable = btf__type_by_id(btf, item->type);

		if (variable && item->size == size &&
		    strcmp(btf__name_by_offset(btf, variable->name_off), name) == 0)
			return (int)item->offset;
	}
	return -ENOENT;
}

int program_set_constant(struct bpf_object *object, const char *name, const void *value,
			 size_t size)
{
	int offset = constant_offset(bpf_object__btf(object), name, size);
	size_t suffix = sizeof(CONSTANTS) - 1, room = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		const char *map_name = bpf_map__name(map);
		size_t length = strlen(map_name);
		char *constants;

		if (offset < 0 || length < suffix ||
		    strcmp(map_name + length - suffix, CONSTANTS) != 0)
			continue;
		/* Its own memory until the object is loaded, as skeletons write it too. */
		constants = (char *)bpf_map__initial_value(map, &room);
		if (constants == NULL || (size_t)offset + size > room)
			continue;
		memcpy(constants + offset, value, size);
		return 0;
	}
	return -ENOENT;
}

/*
 * Room for as many requests as the options say: many bear two ids, the agent's own and a trace's.
 */
static int set_up_arrivals(struct bpf_object *object, const struct program_options *options)
{
	const struct lanetag_arrival_settings settings = {options->capacity - 1,
							  options->deliveries};
	const struct {
		const char *map;
		uint32_t entries;
	} tables[] = {
		{"lane_flows", options->capacity},
		{"lane_arrivals", 2 * options->capacity},
		{"lane_deliveries", options->deliveries ? options->capacity : 1},
	};
	int error = program_set_constant(object, "settings", &settings, sizeof(settings));

	for (size_t i = 0; i < ARRAY_LENGTH(tables) && error == 0; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, tables[i].map);

		error = map ? bpf_map__set_max_entries(map, tables[i].entries) : -ENOENT;
	}
	return error;
}

/* 0, a negative errno, or 1: this variant was not built. */
static int load_variant(const struct variant *variant, const struct pins *pins,
			const struct program_options *options, struct program *ret_program)
{
	struct program program = {.variant = variant->name};
	struct bpf_program *entry;
	const void *elf;
	size_t size;
	int error;

	elf = variant->elf(&size);
	program.object = bpf_object__open_mem(elf, size, NULL);
	if (program.object == NULL)
		return -errno;
	error = 1;
	entry = choose_programs(program.object, variant);
	if (entry == NULL)
		goto fail;
	error = variant->kind == PROGRAM_ARRIVALS ? set_up_arrivals(program.object, options) : 0;
	if (error)
		goto fail;
	program.layout = layout_fingerprint(program.object);
	program.taken_over = layout_matches_pins(program.object, program.layout, pins);
	error = program.taken_over ? reuse_pinned(program.object, pins) : 0;
	if (error == 0)
		error = bpf_object__load(program.object);
	if (error)
		goto fail;
	program.fd = bpf_program__fd(entry);
	*ret_program = program;
	return 0;
fail:
	bpf_object__close(program.object);
	return error;
}

bool program_knows_layout(enum program_kind kind, uint64_t fingerprint)
{
	for (size_t i = 0; i < ARRAY_LENGTH(variants); i++) {
		size_t size;
		const void *elf = variants[i].elf(&size);
		struct bpf_object *object =
			variants[i].kind == kind ? bpf_object__open_mem(elf, size, NULL) : NULL;
		bool known = object && layout_fingerprint(object) == fingerprint;

		bpf_object__close(object);
		if (known)
			return true;
	}
	return false;
}

static void log_failure(enum program_kind kind, int error)
{
	struct buffer reasons = {0};

	obstacles_explain(-error, &reasons);
	log_error("the kernel takes no variant of the program",
		  log_text("program", kind_names[kind]), log_text("error", buffer_text(&reasons)));
	buffer_free(&reasons);
}

int program_load(const struct pins *pins, const struct program_options *options,
		 struct program *ret_program)
{
	const char *variant = options->variant, *kind = kind_names[options->kind];
	int error = -EINVAL, result;

	for (size_t i = 0; i < ARRAY_LENGTH(variants); i++) {
		if (variants[i].kind != options->kind ||
		    (variant && strcmp(variant, variants[i].name) != 0))
			continue;
		result = load_variant(&variants[i], pins, options, ret_program);
		if (result > 0)
			continue;
		error = result;
		if (error == 0) {
			log_info("program loaded", log_text("program", kind),
				 log_text("variant", ret_program->variant),
				 log_text("maps", ret_program->taken_over ? "taken-over" : "new"));
			return 0;
		}
		log_info("the kernel does not take a variant of the program",
			 log_text("program", kind), log_text("variant", variants[i].name),
			 log_errno(error));
	}
	log_failure(options->kind, error);
	return error;
}

static bool is_program_array(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY && bpf_map__autocreate(map);
}

/* Calls for the program and each of its program arrays, until one fails. */
static int each_pin(const struct program *program, const struct pins *pins,
		    int (*act)(const struct pins *pins, const char *name, int fd))
{
	int error = act(pins, PROGRAM_PIN, program->fd);
	struct bpf_map *map;

	bpf_object__for_each_map(map, program->object)
	{
		if (error == 0 && is_program_array(map))
			error = act(pins, bpf_map__name(map), bpf_map__fd(map));
	}
	return error;
}

static int pin_fresh(const struct pins *pins, const char *name, int fd)
{
	char fresh[NAME_MAX];

	snprintf(fresh, sizeof(fresh), "%s" FRESH_SUFFIX, name);
	return pins_replace(pins, fresh, fd);
}

static int settle(const struct pins *pins, const char *name, int fd)
{
	char fresh[NAME_MAX];

	(void)fd;
	snprintf(fresh, sizeof(fresh), "%s" FRESH_SUFFIX, name);
	return pins_rename(pins, fresh, name);
}

static int unpin(const struct pins *pins, const char *name, int fd)
{
	char fresh[NAME_MAX];

	(void)fd;
	snprintf(fresh, sizeof(fresh), "%s" FRESH_SUFFIX, name);
	pins_remove(pins, fresh);
	pins_remove(pins, name);
	return 0;
}

int program_pin(const struct program *program, const struct pins *pins)
{
	return each_pin(program, pins, pin_fresh);
}

int program_settle(const struct program *program, const struct pins *pins)
{
	return each_pin(program, pins, settle);
}

void program_unpin(const struct program *program, const struct pins *pins)
{
	each_pin(program, pins, unpin);
}

void program_unload(struct program *program)
{
	bpf_object__close(program->object);
	program->object = NULL;
}

int program_map(const struct program *program, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(program->object, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}
