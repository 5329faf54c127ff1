// SPDX-License-Identifier: GPL-2.0-only
/* The arrivals' program for kernels before 5.17, as tagger_bounded.bpf.c is the tagger's. */
#define TAGGER_BOUNDED
#include "arrivals.bpf.c"
