// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pods' calls to the mesh's hosts go to the agent: connect(2) is given the agent's address, the
 * socket keeps the original one, and when the connection stands (before the agent can accept it) the
 * agent gets to know both. The application sees the address that it called.
 *
 * Whoever isn't a pod of ours, calls something else or uses another protocol leaves after one
 * look-up at most.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <lanetag/interception.h>

#include "address.h"
#include "counters.h"
#define AF_INET 2
#define PASS 1
#define REFUSE 0

#define MAX_DESTINATIONS 65536
#define MAX_PODS 65536
#define MAX_NAMESPACES 8192
#define MAX_UNACCEPTED 16384

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_DESTINATIONS);
	__type(key, struct lanetag_destination);
	__type(value, __u32);
} lane_destinations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PODS);
	__type(key, struct lanetag_namespace_address);
	__type(value, __u32);
} lane_pods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_NAMESPACES);
	__type(key, struct lanetag_namespace);
	__type(value, struct lanetag_namespace_address);
} lane_namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lanetag_redirect);
} lane_redirects SEC(".maps");

/* The agent takes an entry out when it accepts the connection; who never comes is pushed out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_UNACCEPTED);
	__type(key, struct lanetag_interception_key);
	__type(value, struct lanetag_intercepted);
} lane_intercepted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lanetag_interception);
} lane_interception SEC(".maps");

/* Until when the agent's word holds that it serves: nanoseconds of CLOCK_MONOTONIC. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lane_heartbeat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANETAG_INTERCEPTION_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} lane_interceptions SEC(".maps");

static __always_inline void count(__u32 what)
{
	count_in(&lane_interceptions, what);
}

static __always_inline void copy_address(void *to, const void *from)
{
	__builtin_memcpy(to, from, 16);
}

static __always_inline bool agent_serves(void)
{
	__u32 zero = 0;
	__u64 *until = bpf_map_lookup_elem(&lane_heartbeat, &zero);

	return until && bpf_ktime_get_ns() < *until;
}

/*
 * A namespace that was never seen to call is taken for selected: its first connection shows its
 * address, and the agent gives tags by that.
 */
static __always_inline bool is_selected(const struct lanetag_interception *interception,
					__u64 cookie, __u32 family)
{
	struct lanetag_namespace namespace = {.cookie = cookie, .family = family};
	struct lanetag_namespace_address *address;

	if (interception->everyone)
		return true;
	address = bpf_map_lookup_elem(&lane_namespaces, &namespace);
	return !address || bpf_map_lookup_elem(&lane_pods, address);
}

/* Without the agent. */
static __always_inline int go_without(const struct lanetag_interception *interception, __u32 why)
{
	if (interception->fail_closed) {
		count(why == LANETAG_INTERCEPTION_BYPASSED ? LANETAG_INTERCEPTION_REFUSED : why);
		return REFUSE;
	}
	count(why);
	return PASS;
}

/*
 * What becomes of a connect to `wanted`; *ret_redirect is set where it goes to the agent. The
 * destinations come first: most of what a machine connects to isn't in there.
 */
static __always_inline int decide(struct bpf_sock_addr *context,
				  const struct lanetag_destination *wanted,
				  struct lanetag_redirect **ret_redirect)
{
	__u32 zero = 0, family = address_is_ipv4(wanted->address) ? LANETAG_IPV4 : LANETAG_IPV6;
	struct lanetag_interception *interception;
	struct lanetag_redirect *redirect;
	__u64 cookie;

	if (!bpf_map_lookup_elem(&lane_destinations, wanted))
		return PASS;
	interception = bpf_map_lookup_elem(&lane_interception, &zero);
	cookie = bpf_get_netns_cookie(context);
	if (interception && interception->probe &&
	    interception->probe == bpf_get_socket_cookie(context))
		interception->agent_namespace = cookie;
	if (!interception || cookie == interception->agent_namespace ||
	    interception->agent[family].port == 0)
		return PASS;
	if (!is_selected(interception, cookie, family)) {
		count(LANETAG_INTERCEPTION_UNSELECTED);
		return PASS;
	}
	if (!agent_serves())
		return go_without(interception, LANETAG_INTERCEPTION_BYPASSED);
	if (!context->sk)
		return go_without(interception, LANETAG_INTERCEPTION_NO_ROOM);
	redirect = bpf_sk_storage_get(&lane_redirects, context->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!redirect)
		return go_without(interception, LANETAG_INTERCEPTION_NO_ROOM);
	redirect->original = *wanted;
	redirect->agent = interception->agent[family];
	redirect->namespace_cookie = cookie;
	count(LANETAG_INTERCEPTION_REDIRECTED);
	*ret_redirect = redirect;
	return PASS;
}

static __always_inline bool is_same(const struct lanetag_destination *a,
				    const struct lanetag_destination *b)
{
	const __u64 *left = (const __u64 *)a, *right = (const __u64 *)b;

	return left[0] == right[0] && left[1] == right[1] && left[2] == right[2];
}

/* The redirect of this socket, if `peer` is where it leads to; else NULL. */
static __always_inline struct lanetag_redirect *redirect_to(struct bpf_sock_addr *context,
							    const struct lanetag_destination *peer)
{
	struct lanetag_redirect *redirect;

	if (!context->sk)
		return NULL;
	redirect = bpf_sk_storage_get(&lane_redirects, context->sk, 0, 0);
	return redirect && is_same(peer, &redirect->agent) ? redirect : NULL;
}

/*
 * A socket may have been redirected before, and is now connected to something else. Unless the
 * program of an agent that overlaps with this one has just done it.
 */
static __always_inline void forget_redirect(struct bpf_sock_addr *context,
					    const struct lanetag_destination *wanted)
{
	if (context->sk && !redirect_to(context, wanted))
		bpf_sk_storage_delete(&lane_redirects, context->sk);
}

static __always_inline void read_ipv4(struct bpf_sock_addr *context,
				      struct lanetag_destination *destination)
{
	address_set_ipv4(destination->address, context->user_ip4);
	destination->port = bpf_ntohs((__u16)context->user_port);
}

static __always_inline void write_ipv4(struct bpf_sock_addr *context,
				       const struct lanetag_destination *destination)
{
	const __u32 *words = (const __u32 *)destination->address;

	context->user_ip4 = words[3];
	context->user_port = bpf_htons(destination->port);
}

static __always_inline void read_ipv6(struct bpf_sock_addr *context,
				      struct lanetag_destination *destination)
{
	__u32 *words = (__u32 *)destination->address;

	words[0] = context->user_ip6[0];
	words[1] = context->user_ip6[1];
	words[2] = context->user_ip6[2];
	words[3] = context->user_ip6[3];
	destination->port = bpf_ntohs((__u16)context->user_port);
}

static __always_inline void write_ipv6(struct bpf_sock_addr *context,
				       const struct lanetag_destination *destination)
{
	const __u32 *words = (const __u32 *)destination->address;

	context->user_ip6[0] = words[0];
	context->user_ip6[1] = words[1];
	context->user_ip6[2] = words[2];
	context->user_ip6[3] = words[3];
	context->user_port = bpf_htons(destination->port);
}

SEC("cgroup/connect4")
int intercept_connect4(struct bpf_sock_addr *context)
{
	struct lanetag_destination wanted = {0};
	struct lanetag_redirect *redirect = NULL;
	int verdict;

	if (context->protocol != IPPROTO_TCP)
		return PASS;
	read_ipv4(context, &wanted);
	verdict = decide(context, &wanted, &redirect);
	if (redirect)
		write_ipv4(context, &redirect->agent);
	else
		forget_redirect(context, &wanted);
	return verdict;
}

/* Also IPv4 by IPv6 sockets: the mapped form is the one that the maps have. */
SEC("cgroup/connect6")
int intercept_connect6(struct bpf_sock_addr *context)
{
	struct lanetag_destination wanted = {0};
	struct lanetag_redirect *redirect = NULL;
	int verdict;

	if (context->protocol != IPPROTO_TCP)
		return PASS;
	read_ipv6(context, &wanted);
	verdict = decide(context, &wanted, &redirect);
	if (redirect)
		write_ipv6(context, &redirect->agent);
	else
		forget_redirect(context, &wanted);
	return verdict;
}

SEC("cgroup/getpeername4")
int intercept_getpeername4(struct bpf_sock_addr *context)
{
	struct lanetag_destination peer = {0};
	struct lanetag_redirect *redirect;

	read_ipv4(context, &peer);
	redirect = redirect_to(context, &peer);
	if (redirect)
		write_ipv4(context, &redirect->original);
	return PASS;
}

SEC("cgroup/getpeername6")
int intercept_getpeername6(struct bpf_sock_addr *context)
{
	struct lanetag_destination peer = {0};
	struct lanetag_redirect *redirect;

	read_ipv6(context, &peer);
	redirect = redirect_to(context, &peer);
	if (redirect)
		write_ipv6(context, &redirect->original);
	return PASS;
}

static __always_inline void local_address(struct bpf_sock_ops *context, __u32 *words)
{
	__u32 ipv4 = context->local_ip4;

	barrier_var(ipv4); /* else the two ways are joined to one load by a changed pointer */
	if (context->family == AF_INET) {
		address_set_ipv4(words, ipv4);
		return;
	}
	words[0] = context->local_ip6[0];
	words[1] = context->local_ip6[1];
	words[2] = context->local_ip6[2];
	words[3] = context->local_ip6[3];
}

static __always_inline void learn_namespace(const struct lanetag_redirect *redirect,
					    const __u8 address[16])
{
	struct lanetag_namespace namespace = {
		.cookie = redirect->namespace_cookie,
		.family = address_is_ipv4(redirect->agent.address) ? LANETAG_IPV4 : LANETAG_IPV6,
	};
	struct lanetag_namespace_address *known, seen;
	const __u64 *is, *was;

	copy_address(seen.address, address);
	known = bpf_map_lookup_elem(&lane_namespaces, &namespace);
	is = (const __u64 *)seen.address;
	was = known ? (const __u64 *)known->address : NULL;
	if (!was || is[0] != was[0] || is[1] != was[1])
		bpf_map_update_elem(&lane_namespaces, &namespace, &seen, BPF_ANY);
}

/*
 * The handshake is done on this side, and its last packet is not out yet: who accepts will find the
 * entry. Before, the source address is only what the caller says.
 */
SEC("sockops")
int intercept_connection(struct bpf_sock_ops *context)
{
	struct lanetag_interception_key key = {0};
	struct lanetag_intercepted intercepted = {0};
	struct lanetag_redirect *redirect;

	if (context->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || !context->sk)
		return 1;
	redirect = bpf_sk_storage_get(&lane_redirects, context->sk, 0, 0);
	if (!redirect)
		return 1;
	local_address(context, (__u32 *)key.connection.remote_address);
	key.connection.remote_port = (__u16)context->local_port;
	copy_address(key.connection.local_address, redirect->agent.address);
	key.connection.local_port = redirect->agent.port;
	key.sequence = context->snd_nxt - 1; /* nothing but the SYN was sent */
	intercepted.original = redirect->original;
	intercepted.namespace_cookie = redirect->namespace_cookie;
	intercepted.socket_cookie = bpf_get_socket_cookie(context);
	bpf_map_update_elem(&lane_intercepted, &key, &intercepted, BPF_ANY);
	learn_namespace(redirect, key.connection.remote_address);
	return 1;
}

char license_text[] SEC("license") = "GPL";
