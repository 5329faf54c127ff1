/* SPDX-License-Identifier: GPL-2.0-only */
/* What the agent writes into the interception's maps, and reads from them. */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernel/interception_internal.h"
#include "kernel/tagger_internal.h"

#define PROBE_PORT 1

static int compare_destinations(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct lanetag_destination));
}

static int compare_pods(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct lanetag_namespace_address));
}

void interception_sort(struct interception_scope *scope)
{
	if (scope->destination_count)
		qsort(scope->destinations, scope->destination_count, sizeof(*scope->destinations),
		      compare_destinations);
	if (scope->pod_count)
		qsort(scope->pods, scope->pod_count, sizeof(*scope->pods), compare_pods);
}

/* The keys of one map, wanted or found. */
struct keys {
	const void *items;
	size_t count, size;
	int (*compare)(const void *left, const void *right);
};

/* All keys that stand in the map: the caller frees. */
static int read_keys(int map, size_t size, char **ret_items, size_t *ret_count)
{
	char *items = NULL, *grown;
	size_t count = 0, room = 0;

	for (;;) {
		if (count == room) {
			room = room ? 2 * room : 64;
			grown = realloc(items, room * size);
			if (!grown) {
				free(items);
				return -ENOMEM;
			}
			items = grown;
		}
		if (bpf_map_get_next_key(map, count ? items + (count - 1) * size : NULL,
					 items + count * size) < 0)
			break;
		count++;
	}
	*ret_items = items;
	*ret_count = count;
	return 0;
}

static int remove_others(int map, const struct keys *wanted)
{
	char *items;
	size_t count;
	int error = read_keys(map, wanted->size, &items, &count);

	if (error)
		return error;
	for (size_t i = 0; i < count; i++) {
		const char *key = items + i * wanted->size;

		if (!wanted->count ||
		    !bsearch(key, wanted->items, wanted->count, wanted->size, wanted->compare))
			bpf_map_delete_elem(map, key);
	}
	free(items);
	return 0;
}

/* -E2BIG: no room for all. */
static int add_all(int map, const struct keys *wanted)
{
	const uint32_t one = 1;
	int error = 0;

	for (size_t i = 0; i < wanted->count; i++) {
		if (bpf_map_update_elem(map, (const char *)wanted->items + i * wanted->size, &one,
					BPF_ANY) < 0)
			error = -errno;
	}
	return error;
}

static struct keys destinations_of(const struct interception_scope *scope)
{
	return (struct keys){scope->destinations, scope->destination_count,
			     sizeof(*scope->destinations), compare_destinations};
}

static struct keys pods_of(const struct interception_scope *scope)
{
	return (struct keys){scope->pods, scope->pod_count, sizeof(*scope->pods), compare_pods};
}

static int write_state(struct interception *interception)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(interception->settings, &zero, &interception->state, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

static int set_everyone(struct interception *interception, bool everyone)
{
	interception->state.everyone = everyone;
	return write_state(interception);
}

int interception_narrow(struct interception *interception, const struct interception_scope *scope)
{
	struct keys destinations = destinations_of(scope);

	return remove_others(interception->destinations, &destinations);
}

/* Pods: first those who come in, then those who go; whoever stays is in there all the time. */
int interception_widen(struct interception *interception, const struct interception_scope *scope)
{
	struct keys destinations = destinations_of(scope), pods = pods_of(scope);
	int error = add_all(interception->pods, &pods), result;

	result = set_everyone(interception, scope->everyone);
	error = error ? error : result;
	result = remove_others(interception->pods, &pods);
	error = error ? error : result;
	result = add_all(interception->destinations, &destinations);
	interception->destination_count = scope->destination_count;
	return error ? error : result;
}

/* A destination that nobody calls; nothing comes of the connect. */
int interception_probe_namespace(struct interception *interception)
{
	const struct sockaddr_in nobody = {
		.sin_family = AF_INET,
		.sin_port = htons(PROBE_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct lanetag_destination destination = {.address = {[10] = 0xff, 0xff, 127, 0, 0, 1},
						  .port = PROBE_PORT};
	struct lanetag_interception *state = &interception->state;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(state->probe);
	uint32_t zero = 0, one = 1;

	if (fd < 0)
		return -errno;
	int error = getsockopt(fd, SOL_SOCKET, SO_COOKIE, &state->probe, &length) < 0
			    ? -errno
			    : write_state(interception);
	if (error == 0 &&
	    bpf_map_update_elem(interception->destinations, &destination, &one, BPF_ANY) < 0)
		error = -errno;
	if (error == 0) {
		connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody));
		bpf_map_delete_elem(interception->destinations, &destination);
		if (bpf_map_lookup_elem(interception->settings, &zero, state) < 0)
			error = -errno;
	}
	state->probe = 0;
	close(fd);
	return error ? error : write_state(interception);
}

int interception_renew(struct interception *interception, unsigned milliseconds)
{
	uint64_t until = clock_now_ns() + milliseconds * 1000000ULL;
	uint32_t zero = 0;

	return bpf_map_update_elem(interception->heartbeat, &zero, &until, BPF_ANY) < 0 ? -errno
											: 0;
}

struct taking {
	const struct lanetag_interception_key *key;
	struct lanetag_intercepted *ret_intercepted;
};

static bool take_from(int map, void *context)
{
	const struct taking *taking = context;

	if (bpf_map_lookup_and_delete_elem(map, taking->key, taking->ret_intercepted) == 0)
		return true;
	/* ENOENT: none is there. Else a kernel that can't do both at once, before Linux 5.14. */
	return errno != ENOENT &&
	       bpf_map_lookup_elem(map, taking->key, taking->ret_intercepted) == 0 &&
	       bpf_map_delete_elem(map, taking->key) == 0;
}

bool interception_take(const struct interception *interception,
		       const struct lanetag_interception_key *key,
		       struct lanetag_intercepted *ret_intercepted)
{
	struct taking taking = {key, ret_intercepted};

	return take_from(interception->intercepted, &taking) ||
	       interception_pins_ask_others(&interception->pins, take_from, &taking);
}

int interception_read_counts(const struct interception *interception,
			     struct interception_counts *ret_counts)
{
	ret_counts->destinations = interception->destination_count;
	return tables_sum_map(interception->counts, LANETAG_INTERCEPTION_COUNTS,
			      ret_counts->counts);
}

const char *interception_count_name(size_t count)
{
	static const char *const names[] = {
		[LANETAG_INTERCEPTION_REDIRECTED] = "redirected",
		[LANETAG_INTERCEPTION_BYPASSED] = "bypassed",
		[LANETAG_INTERCEPTION_REFUSED] = "refused",
		[LANETAG_INTERCEPTION_UNSELECTED] = "unselected",
		[LANETAG_INTERCEPTION_NO_ROOM] = "no_room",
	};

	_Static_assert(ARRAY_LENGTH(names) == LANETAG_INTERCEPTION_COUNTS,
		       "every count has a name");
	return count < LANETAG_INTERCEPTION_COUNTS ? names[count] : "unknown";
}
