// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TC program at the pods' interfaces, on the way to the pod: follows the connections to the
 * applications' ports and notes each request's tags under its trace and request ids. follow.h says
 * why it is there three times.
 */
#include "noting.h"

#include "follow.h"

#ifdef TAGGER_BOUNDED

SEC("tc")
int arrivals_bounded(struct __sk_buff *skb)
{
	return follow_bounded(skb);
}

#else

SEC("tc")
int arrivals_may_goto(struct __sk_buff *skb)
{
	return follow_may_goto(skb);
}

SEC("tc")
int arrivals_bpf_loop(struct __sk_buff *skb)
{
	return follow_bpf_loop(skb);
}

#endif

char license_text[] SEC("license") = "GPL";
