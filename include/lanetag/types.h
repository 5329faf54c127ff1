/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The fixed-width types of everything under include/lanetag/, which both the BPF compiler and the
 * C compiler take. Nothing here needs libc.
 */
#include <linux/types.h>

#ifdef __bpf__
#define LANETAG_INLINE static __attribute__((always_inline)) inline
#else
#define LANETAG_INLINE static inline
#endif

#define LANETAG_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
