/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/layout.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LAYOUT_PIN "lane_layout"
#define MAX_TYPE_DEPTH 16

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ULL; /* FNV-1a, 64 bit */
	return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
	return mix(hash, &number, sizeof(number));
}

static uint64_t mix_name(uint64_t hash, const char *name)
{
	return mix(hash, name ? name : "", name ? strlen(name) + 1 : 1);
}

static uint64_t mix_type(uint64_t hash, const struct btf *btf, uint32_t id, int depth)
{
	int real = btf__resolve_type(btf, id);
	const struct btf_type *type = real > 0 ? btf__type_by_id(btf, (uint32_t)real) : NULL;

	if (type == NULL || depth > MAX_TYPE_DEPTH)
		return mix_number(hash, 0);
	hash = mix_number(hash, btf_kind(type));
	if (btf_is_array(type)) {
		hash = mix_number(hash, btf_array(type)->nelems);
		return mix_type(hash, btf, btf_array(type)->type, depth + 1);
	}
	hash = mix_number(hash, type->size);
	if (!btf_is_composite(type))
		return hash;
	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const struct btf_member *member = &btf_members(type)[i];

		hash = mix_name(hash, btf__name_by_offset(btf, member->name_off));
		hash = mix_number(hash, btf_member_bit_offset(type, i));
		hash = mix_type(hash, btf, member->type, depth + 1);
	}
	return hash;
}

static uint64_t mix_map(uint64_t hash, const struct btf *btf, const struct bpf_map *map)
{
	hash = mix_number(hash, bpf_map__type(map));
	hash = mix_number(hash, bpf_map__key_size(map));
	hash = mix_number(hash, bpf_map__value_size(map));
	hash = mix_number(hash, bpf_map__max_entries(map));
	hash = mix_number(hash, bpf_map__map_flags(map));
	hash = mix_type(hash, btf, bpf_map__btf_key_type_id(map), 0);
	return mix_type(hash, btf, bpf_map__btf_value_type_id(map), 0);
}

bool layout_is_lasting(const struct bpf_map *map)
{
	/* A program array belongs to one load of the program: its entries are parts of that one. */
	return !bpf_map__is_internal(map) && bpf_map__type(map) != BPF_MAP_TYPE_PROG_ARRAY &&
	       bpf_map__autocreate(map);
}

uint64_t layout_fingerprint(const struct bpf_object *object)
{
	const struct btf *btf = bpf_object__btf(object);
	uint64_t hash = 0xcbf29ce484222325ULL;
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (!layout_is_lasting(map))
			continue;
		hash = mix_name(hash, bpf_map__name(map));
		hash = mix_map(hash, btf, map);
		if (bpf_map__inner_map(map))
			hash = mix_map(hash, btf, bpf_map__inner_map(map));
	}
	return hash;
}

static bool map_matches(const struct bpf_map *map, const struct pins *pins)
{
	int fd = pins_get(pins, bpf_map__name(map));
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);
	bool good;

	if (fd < 0)
		return false;
	good = bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
	close(fd);
	return good;
}

int layout_of_pins(const struct pins *pins, uint64_t *ret_fingerprint)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);
	uint32_t zero = 0;
	int fd = pins_get_for_reading(pins, LAYOUT_PIN), error = 0;

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		error = -errno;
	else if (info.value_size != sizeof(*ret_fingerprint) || info.key_size != sizeof(zero))
		error = -EPROTO;
	else if (bpf_map_lookup_elem(fd, &zero, ret_fingerprint) < 0)
		error = -errno;
	close(fd);
	return error;
}

bool layout_matches_pins(const struct bpf_object *object, uint64_t fingerprint,
			 const struct pins *pins)
{
	uint64_t pinned;
	struct bpf_map *map;

	if (layout_of_pins(pins, &pinned) || pinned != fingerprint)
		return false;
	bpf_object__for_each_map(map, object)
	{
		if (layout_is_lasting(map) && !map_matches(map, pins))
			return false;
	}
	return true;
}

static int pin_fingerprint(uint64_t fingerprint, const struct pins *pins)
{
	uint32_t zero = 0;
	int error, fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, LAYOUT_PIN, sizeof(zero), sizeof(fingerprint), 1,
			    NULL);
	if (fd < 0)
		return -errno;
	error = bpf_map_update_elem(fd, &zero, &fingerprint, BPF_ANY) < 0 ? -errno : 0;
	if (error == 0)
		error = pins_replace(pins, LAYOUT_PIN, fd);
	close(fd);
	return error;
}

/* The fingerprint goes first and comes last: without it the pins around it count for nothing. */
int layout_pin(const struct bpf_object *object, uint64_t fingerprint, const struct pins *pins,
	       bool taken_over)
{
	struct bpf_map *map;
	int error;

	if (pins->path[0] == '\0' || taken_over)
		return 0;
	pins_remove(pins, LAYOUT_PIN);
	bpf_object__for_each_map(map, object)
	{
		if (!layout_is_lasting(map))
			continue;
		error = pins_replace(pins, bpf_map__name(map), bpf_map__fd(map));
		if (error)
			return error;
	}
	return pin_fingerprint(fingerprint, pins);
}

static int unpin(const char *name, void *context)
{
	pins_remove(context, name);
	return 0;
}

void layout_unpin(const struct pins *pins)
{
	/* An agent before may have had maps that this one has not; all are named lane_something. */
	pins_each(pins, "lane_", unpin, (void *)pins);
}
