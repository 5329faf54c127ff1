// SPDX-License-Identifier: GPL-2.0-only
/* The tagger for kernels before 5.17, as an object of its own: nothing in it that Linux 5.10 does
 * not know. */
#define TAGGER_BOUNDED
#include "tagger.bpf.c"
