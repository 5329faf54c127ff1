// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TC ingress program: follows the connections to the agent's ports, finds the user id of each
 * request, decides by the rules, and leaves a mark for the agent. follow.h says why it is there
 * three times.
 */
#include "marking.h"

#include "follow.h"

#ifdef TAGGER_BOUNDED

SEC("tc")
int tagger_bounded(struct __sk_buff *skb)
{
	return follow_bounded(skb);
}

#else

SEC("tc")
int tagger_may_goto(struct __sk_buff *skb)
{
	return follow_may_goto(skb);
}

SEC("tc")
int tagger_bpf_loop(struct __sk_buff *skb)
{
	return follow_bpf_loop(skb);
}

#endif

char license_text[] SEC("license") = "GPL";
