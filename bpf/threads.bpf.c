// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which thread has which request in hand. The arrivals' program notes a request on its way to the
 * pod; here the thread that receives it is found, and what that thread sends to other applications
 * until it answers is noted with the request's tags.
 *
 * That is right where a thread serves one request at a time and from its begin to its answer. Any
 * sign of another way of working gives up the whole process for as long as it lives: receiving
 * without waiting, connections watched by epoll, a second request in one thread's hands, another
 * thread that answers. And nothing is noted before a process has served a number of requests
 * without such a sign.
 */
#include "kernel_types.h"

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/socket.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <lanetag/call.h>

#include "address.h"
#include "counters.h"
#include "deliveries.h"
#include "ports.h"

/* BPF_PROG names the context, which none of these needs. */
#pragma clang diagnostic ignored "-Wunused-parameter"

#define ADDRESS_FAMILY_IPV4 2
#define ADDRESS_FAMILY_IPV6 10
#define MESSAGE_DONT_WAIT 0x40
#define MESSAGE_PEEK 0x2

/* The kernel's names of TCP states, include/net/tcp_states.h. */
enum tcp_state {
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_SYN_SENT = 2,
	TCP_STATE_SYN_RECEIVED = 3,
	TCP_STATE_FIN_WAIT = 4,
	TCP_STATE_CLOSED = 7,
	TCP_STATE_LAST_ACK = 9,
};

/* Set before loading: calls are noted before their bytes leave; else right behind. */
const volatile __u32 calls_are_early = 0;

/* At which the agent takes calls. */
struct port_set lane_hop_ports SEC(".maps");

struct program_name {
	char text[LANETAG_PROGRAM_NAME];
};

/* Whose threads are looked at, by their processes' names; "*" is all. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct program_name);
	__type(value, __u32);
} lane_programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* as many as the agent says */
	__type(key, struct lanetag_connection);
	__type(value, struct lanetag_call);
} lane_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANETAG_THREAD_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} lane_thread_counts SEC(".maps");

/* A process, kept with its first thread. */
struct process {
	__u32 given_up; /* not looked at, from now on */
	__u32 served;	/* requests, received and answered by the same thread */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct process);
} lane_processes SEC(".maps");

struct thread {
	__u64 inbound; /* the socket's cookie */
	__u32 busy;    /* received from it, and has not answered */
	__u32 known;   /* what: the tags of `call` */
	struct lanetag_call call;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} lane_threads SEC(".maps");

/* A connection that the application accepted. */
struct inbound {
	__u32 requests;	  /* heads received so far */
	__u32 unanswered; /* bytes were received and nothing was answered since */
	__u32 in_hand;	  /* … a whole head among them */
	__u32 pipelined;  /* requests that can't be told apart */
	int thread;	  /* that received last; 0: none that was seen */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct inbound);
} lane_inbound SEC(".maps");

/* A connection that the application made to the agent. */
struct outbound {
	__u64 position; /* stream offset of the latest send */
	__u32 sequence; /* TCP's of the same byte */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct outbound);
} lane_outbound SEC(".maps");

static __always_inline void count_thread(__u32 which)
{
	count_in(&lane_thread_counts, which);
}

static __always_inline int is_tcp(const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return (family == ADDRESS_FAMILY_IPV4 || family == ADDRESS_FAMILY_IPV6) &&
	       sk->sk_protocol == IPPROTO_TCP;
}

static __always_inline void set_address(__u8 address[16], const struct sock *sk, __be32 ipv4,
					const struct in6_addr *ipv6)
{
	if (sk->__sk_common.skc_family == ADDRESS_FAMILY_IPV6) {
		bpf_probe_read_kernel(address, 16, ipv6);
		return;
	}
	address_set_ipv4(address, ipv4);
}

static __always_inline void set_own_end(__u8 address[16], __u16 *port, const struct sock *sk)
{
	set_address(address, sk, sk->__sk_common.skc_rcv_saddr, &sk->__sk_common.skc_v6_rcv_saddr);
	*port = sk->__sk_common.skc_num;
}

static __always_inline void set_other_end(__u8 address[16], __u16 *port, const struct sock *sk)
{
	set_address(address, sk, sk->__sk_common.skc_daddr, &sk->__sk_common.skc_v6_daddr);
	*port = bpf_ntohs(sk->__sk_common.skc_dport);
}

static __always_inline int is_named(struct task_struct *leader)
{
	struct program_name name = {0}, any = {"*"};

	bpf_probe_read_kernel_str(name.text, sizeof(name.text), leader->comm);
	return bpf_map_lookup_elem(&lane_programs, &name) != NULL ||
	       bpf_map_lookup_elem(&lane_programs, &any) != NULL;
}

/*
 * The process of this thread if it may be looked at, or NULL. Also where the kernel has no room for
 * it just now: it refuses to make some while another task of this processor is at it.
 */
static __always_inline struct process *own_process(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct process *process;

	if (!leader)
		return NULL;
	process = bpf_task_storage_get(&lane_processes, leader, NULL, 0);
	if (!process) {
		process = bpf_task_storage_get(&lane_processes, leader, NULL,
					       BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (process && !is_named(leader))
			process->given_up = 1;
	}
	return process && !process->given_up ? process : NULL;
}

static __always_inline void give_up(struct process *process, __u32 reason)
{
	process->given_up = 1;
	count_thread(reason);
}

/* True where something waits for the socket's events while this thread has it: an event loop's. */
static __always_inline int is_watched(const struct sock *sk)
{
	struct socket_wq *wait = sk->sk_wq;

	return wait && wait->wait.head.next != &wait->wait.head;
}

/* Signs that need no look at the request. True: there was one, and the process is given up. */
static __always_inline int shows_other_ways(const struct sock *sk, int flags,
					    struct process *process)
{
	if (flags & MESSAGE_DONT_WAIT)
		give_up(process, LANETAG_THREAD_NONBLOCKING);
	else if (is_watched(sk))
		give_up(process, LANETAG_THREAD_WATCHED);
	return process->given_up;
}

/*
 * The thread has received up to `end` of the connection, `length` bytes of them just now. Takes the
 * request whose head ends there in hand; for a thread that there is no room for (NULL) it is only
 * counted.
 */
static __always_inline void take_request(struct thread *thread, struct inbound *inbound,
					 const struct lanetag_delivery *delivery, __u32 end,
					 __u32 length)
{
	__u32 end_sequence = delivery->end_sequence, behind = end - end_sequence;

	if (inbound->pipelined || delivery->number == inbound->requests)
		return; /* the body, or bytes of the head */
	if (delivery->number != inbound->requests + 1 || inbound->in_hand) {
		inbound->pipelined = 1;
		if (thread)
			thread->known = 0;
		count_thread(LANETAG_THREAD_PIPELINED);
		return;
	}
	if (behind >= length)
		return; /* the head is not received to its end */
	inbound->requests = delivery->number;
	inbound->in_hand = 1;
	count_thread(LANETAG_THREAD_REQUESTS);
	if (!delivery->known || !thread)
		return;
	/* Together they tell the request from every other. */
	thread->call.seen_ns = bpf_ktime_get_ns();
	thread->call.thread = (__u32)inbound->thread;
	thread->call.length = delivery->length;
	__builtin_memcpy(thread->call.tags, delivery->tags, sizeof(thread->call.tags));
	barrier();
	/* An entry that is pushed out or replaced may at once be another connection's. */
	thread->known =
		delivery->number == inbound->requests && delivery->end_sequence == end_sequence;
}

/* Bytes have come into this thread's hands; false: the process is given up by it. */
static __always_inline int begin_work(struct process *process, struct thread *thread,
				      struct inbound *inbound, __u64 cookie, int own_id)
{
	if (thread && thread->busy && thread->inbound != cookie) {
		give_up(process, LANETAG_THREAD_SHARED);
		return 0;
	}
	if (inbound->unanswered && inbound->thread != own_id) {
		give_up(process, LANETAG_THREAD_HANDED_OVER);
		return 0;
	}
	inbound->unanswered = 1;
	inbound->thread = own_id;
	if (!thread)
		return 1;
	if (!thread->busy)
		thread->known = 0;
	thread->busy = 1;
	thread->inbound = cookie;
	return 1;
}

static __always_inline const struct lanetag_delivery *latest_delivery(const struct sock *sk)
{
	struct lanetag_connection connection = {0};

	set_other_end(connection.remote_address, &connection.remote_port, sk);
	set_own_end(connection.local_address, &connection.local_port, sk);
	return bpf_map_lookup_elem(&lane_deliveries, &connection);
}

/* The connection ends without an answer: in the thread that closes it, or finds it reset. */
static __always_inline void drop_work(const struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&lane_threads, task, NULL, 0);

	if (thread && thread->busy && thread->inbound == bpf_get_socket_cookie((void *)sk)) {
		thread->busy = 0;
		thread->known = 0;
	}
}

/* An accepted connection that its client has reset has no port of its own any more. */
static __always_inline int has_lost_port(const struct sock *sk)
{
	return sk->__sk_common.skc_num == 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(threads_receive, struct sock *sk, int result, int flags)
{
	/*
	 * A connection that was there before us: its requests can't be told apart, but they count.
	 */
	struct inbound unseen = {.pipelined = 1};

	if (!is_tcp(sk))
		return 0;
	if (has_lost_port(sk))
		drop_work(sk);
	if (!has_port(&lane_ports, sk->__sk_common.skc_num))
		return 0;
	struct inbound *inbound =
		bpf_sk_storage_get(&lane_inbound, sk, &unseen, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!inbound)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct process *process = own_process(task);
	if (!process || shows_other_ways(sk, flags, process) || result <= 0 ||
	    (flags & MESSAGE_PEEK))
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct thread *thread =
		bpf_task_storage_get(&lane_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!tcp)
		return 0;
	if (!begin_work(process, thread, inbound, bpf_get_socket_cookie(sk), task->pid))
		return 0;
	const struct lanetag_delivery *delivery = latest_delivery(sk);
	if (delivery)
		take_request(thread, inbound, delivery, tcp->copied_seq, (__u32)result);
	return 0;
}

/* An answer to requests that no thread was seen to receive: there was no room for the process. */
static __always_inline void pass_over_requests(const struct sock *sk, struct inbound *inbound)
{
	const struct lanetag_delivery *delivery = latest_delivery(sk);

	if (delivery)
		inbound->requests = delivery->number;
}

/* The first bytes of an answer, or the try, end the work on a request. */
static __always_inline void end_work(struct sock *sk, struct inbound *inbound)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct process *process = own_process(task);
	struct thread *thread = bpf_task_storage_get(&lane_threads, task, NULL, 0);

	if (!process)
		return;
	if (!inbound->thread) {
		pass_over_requests(sk, inbound);
		return;
	}
	if (inbound->thread != task->pid) {
		give_up(process, LANETAG_THREAD_HANDED_OVER);
		return;
	}
	inbound->unanswered = 0;
	inbound->in_hand = 0;
	if (!thread || !thread->busy || thread->inbound != bpf_get_socket_cookie(sk))
		return;
	thread->busy = 0;
	thread->known = 0;
	if (process->served < LANETAG_THREADS_PROBATION)
		__sync_fetch_and_add(&process->served, 1);
}

/* The request that this thread has in hand, if a call may be its; or NULL. */
static __always_inline struct thread *thread_at_work(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct process *process = own_process(task);
	struct thread *thread = bpf_task_storage_get(&lane_threads, task, NULL, 0);

	if (!process || !thread || !thread->busy)
		return NULL;
	if (!thread->known) {
		count_thread(LANETAG_THREAD_UNKNOWN);
		return NULL;
	}
	if (process->served < LANETAG_THREADS_PROBATION) {
		count_thread(LANETAG_THREAD_PROBATION);
		return NULL;
	}
	return thread;
}

static __always_inline void set_callee_view(struct lanetag_connection *connection,
					    const struct sock *sk)
{
	set_own_end(connection->remote_address, &connection->remote_port, sk);
	set_other_end(connection->local_address, &connection->local_port, sk);
}

/* This thread's bytes from `sequence` on go to the agent. */
static __always_inline void note_call(const struct sock *sk, __u32 sequence)
{
	struct outbound *outbound = bpf_sk_storage_get(&lane_outbound, (void *)sk, NULL, 0);
	struct lanetag_connection connection = {0};

	if (!outbound)
		return;
	outbound->position += sequence - outbound->sequence;
	outbound->sequence = sequence;
	struct thread *thread = thread_at_work();
	set_callee_view(&connection, sk);
	struct lanetag_call *call = bpf_map_lookup_elem(&lane_calls, &connection);
	if (!thread) {
		if (call)
			bpf_map_delete_elem(&lane_calls, &connection);
		return;
	}
	count_thread(LANETAG_THREAD_CALLS);
	if (call && call->seen_ns == thread->call.seen_ns && call->thread == thread->call.thread) {
		call->last = outbound->position;
		return;
	}
	thread->call.from = outbound->position;
	thread->call.last = outbound->position;
	thread->call.check = lanetag_call_check(&connection, &thread->call);
	bpf_map_update_elem(&lane_calls, &connection, &thread->call, BPF_ANY);
}

static __always_inline int goes_to_agent(const struct sock *sk)
{
	return has_port(&lane_hop_ports, bpf_ntohs(sk->__sk_common.skc_dport));
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(threads_send, struct sock *sk, int result)
{
	if (!is_tcp(sk))
		return 0;
	if (has_lost_port(sk) || has_port(&lane_ports, sk->__sk_common.skc_num)) {
		struct inbound *inbound = bpf_sk_storage_get(&lane_inbound, sk, NULL, 0);

		if (inbound) {
			end_work(sk, inbound);
			return 0;
		}
	}
	if (calls_are_early || result <= 0 || !goes_to_agent(sk))
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp)
		note_call(sk, tcp->write_seq - (__u32)result);
	return 0;
}

/* Linux 6.16 and later: before the bytes leave, so that the agent never asks too early. */
SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(threads_send_early, const struct sock *sk)
{
	if (!goes_to_agent(sk))
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock((void *)sk);
	if (tcp)
		note_call(sk, tcp->write_seq);
	return 0;
}

static __always_inline void follow_outbound(const struct sock *sk)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock((void *)sk);

	if (!tcp || !goes_to_agent(sk))
		return;
	struct lanetag_connection connection = {0};
	set_callee_view(&connection, sk);
	/* Of an earlier one with the same ends: also where there is no room for this one. */
	bpf_map_delete_elem(&lane_calls, &connection);
	struct outbound *outbound = bpf_sk_storage_get(&lane_outbound, (void *)sk, NULL,
						       BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (outbound)
		outbound->sequence = tcp->write_seq;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(threads_state, const struct sock *sk, int from, int to)
{
	if (!is_tcp(sk))
		return 0;
	if (to == TCP_STATE_ESTABLISHED && from == TCP_STATE_SYN_SENT)
		follow_outbound(sk);
	if (!has_port(&lane_ports, sk->__sk_common.skc_num))
		return 0;
	if (to == TCP_STATE_ESTABLISHED && from == TCP_STATE_SYN_RECEIVED)
		bpf_sk_storage_get(&lane_inbound, (void *)sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (to == TCP_STATE_FIN_WAIT || to == TCP_STATE_LAST_ACK || to == TCP_STATE_CLOSED)
		drop_work(sk);
	return 0;
}

char license_text[] SEC("license") = "GPL";
