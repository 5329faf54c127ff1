/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The hashes of a user id, compiled by kernel and agent alike: FNV-1a 32 bit
 * (draft-eastlake-fnv), XXH32 and XXH64 (xxHash's own specification; held against libxxhash in
 * tests/unit/lanetag). Bytes are read one at a time in the tails and unaligned in little endian in
 * the bodies; `length` is bounded by the caller.
 */
#include <lanetag/types.h>

#define LANETAG_FNV1A32_BASIS 2166136261U
#define LANETAG_FNV1A32_PRIME 16777619U

/*
 * Older verifiers forget the bound of a length that they keep on the stack, so it stands in the
 * loops too. Longer ids never come here in the kernel (LANETAG_MAX_SALT + LANETAG_MAX_VALUE). For
 * the same reason what is left behind whole blocks is taken in loops that count to the most that
 * can be left.
 */
#ifdef __bpf__
#define LANETAG_HASH_BOUND 320
#else
#define LANETAG_HASH_BOUND 0xffffffffU
#endif

/* Streams: start with LANETAG_FNV1A32_BASIS, feed any number of pieces. */
LANETAG_INLINE __u32 lanetag_fnv1a32_byte(__u32 hash, __u8 byte)
{
	return (hash ^ byte) * LANETAG_FNV1A32_PRIME;
}

LANETAG_INLINE __u32 lanetag_fnv1a32(__u32 hash, const __u8 *bytes, __u32 length)
{
	for (__u32 i = 0; i < LANETAG_HASH_BOUND && i < length; i++)
		hash = lanetag_fnv1a32_byte(hash, bytes[i]);
	return hash;
}

LANETAG_INLINE __u32 lanetag_read32(const __u8 *bytes)
{
	return (__u32)bytes[0] | (__u32)bytes[1] << 8 | (__u32)bytes[2] << 16 |
	       (__u32)bytes[3] << 24;
}

LANETAG_INLINE __u64 lanetag_read64(const __u8 *bytes)
{
	return lanetag_read32(bytes) | (__u64)lanetag_read32(bytes + 4) << 32;
}

LANETAG_INLINE __u32 lanetag_rotate32(__u32 value, int bits)
{
	return value << bits | value >> (32 - bits);
}

LANETAG_INLINE __u64 lanetag_rotate64(__u64 value, int bits)
{
	return value << bits | value >> (64 - bits);
}

#define LANETAG_XXH32_PRIME1 0x9E3779B1U
#define LANETAG_XXH32_PRIME2 0x85EBCA77U
#define LANETAG_XXH32_PRIME3 0xC2B2AE3DU
#define LANETAG_XXH32_PRIME4 0x27D4EB2FU
#define LANETAG_XXH32_PRIME5 0x165667B1U

LANETAG_INLINE __u32 lanetag_xxh32_round(__u32 lane, __u32 input)
{
	return lanetag_rotate32(lane + input * LANETAG_XXH32_PRIME2, 13) * LANETAG_XXH32_PRIME1;
}

LANETAG_INLINE __u32 lanetag_xxh32(const __u8 *bytes, __u32 length, __u32 seed)
{
	__u32 hash, done = 0;

	if (length >= 16) {
		__u32 a = seed + LANETAG_XXH32_PRIME1 + LANETAG_XXH32_PRIME2;
		__u32 b = seed + LANETAG_XXH32_PRIME2;
		__u32 c = seed;
		__u32 d = seed - LANETAG_XXH32_PRIME1;

		for (; done < LANETAG_HASH_BOUND && done + 16 <= length; done += 16) {
			a = lanetag_xxh32_round(a, lanetag_read32(bytes + done));
			b = lanetag_xxh32_round(b, lanetag_read32(bytes + done + 4));
			c = lanetag_xxh32_round(c, lanetag_read32(bytes + done + 8));
			d = lanetag_xxh32_round(d, lanetag_read32(bytes + done + 12));
		}
		hash = lanetag_rotate32(a, 1) + lanetag_rotate32(b, 7) + lanetag_rotate32(c, 12) +
		       lanetag_rotate32(d, 18);
	} else {
		hash = seed + LANETAG_XXH32_PRIME5;
	}
	hash += length;
	for (__u32 i = 0; i < 3 && done + 4 <= length; i++, done += 4)
		hash = lanetag_rotate32(hash + lanetag_read32(bytes + done) * LANETAG_XXH32_PRIME3,
					17) *
		       LANETAG_XXH32_PRIME4;
	for (__u32 i = 0; i < 3 && done < length; i++, done++)
		hash = lanetag_rotate32(hash + bytes[done] * LANETAG_XXH32_PRIME5, 11) *
		       LANETAG_XXH32_PRIME1;
	hash = (hash ^ hash >> 15) * LANETAG_XXH32_PRIME2;
	hash = (hash ^ hash >> 13) * LANETAG_XXH32_PRIME3;
	return hash ^ hash >> 16;
}

#define LANETAG_XXH64_PRIME1 0x9E3779B185EBCA87ULL
#define LANETAG_XXH64_PRIME2 0xC2B2AE3D27D4EB4FULL
#define LANETAG_XXH64_PRIME3 0x165667B19E3779F9ULL
#define LANETAG_XXH64_PRIME4 0x85EBCA77C2B2AE63ULL
#define LANETAG_XXH64_PRIME5 0x27D4EB2F165667C5ULL

LANETAG_INLINE __u64 lanetag_xxh64_round(__u64 lane, __u64 input)
{
	return lanetag_rotate64(lane + input * LANETAG_XXH64_PRIME2, 31) * LANETAG_XXH64_PRIME1;
}

LANETAG_INLINE __u64 lanetag_xxh64_merge(__u64 hash, __u64 lane)
{
	return (hash ^ lanetag_xxh64_round(0, lane)) * LANETAG_XXH64_PRIME1 + LANETAG_XXH64_PRIME4;
}

LANETAG_INLINE __u64 lanetag_xxh64(const __u8 *bytes, __u32 length, __u64 seed)
{
	__u64 hash;
	__u32 done = 0;

	if (length >= 32) {
		__u64 a = seed + LANETAG_XXH64_PRIME1 + LANETAG_XXH64_PRIME2;
		__u64 b = seed + LANETAG_XXH64_PRIME2;
		__u64 c = seed;
		__u64 d = seed - LANETAG_XXH64_PRIME1;

		for (; done < LANETAG_HASH_BOUND && done + 32 <= length; done += 32) {
			a = lanetag_xxh64_round(a, lanetag_read64(bytes + done));
			b = lanetag_xxh64_round(b, lanetag_read64(bytes + done + 8));
			c = lanetag_xxh64_round(c, lanetag_read64(bytes + done + 16));
			d = lanetag_xxh64_round(d, lanetag_read64(bytes + done + 24));
		}
		hash = lanetag_rotate64(a, 1) + lanetag_rotate64(b, 7) + lanetag_rotate64(c, 12) +
		       lanetag_rotate64(d, 18);
		hash = lanetag_xxh64_merge(hash, a);
		hash = lanetag_xxh64_merge(hash, b);
		hash = lanetag_xxh64_merge(hash, c);
		hash = lanetag_xxh64_merge(hash, d);
	} else {
		hash = seed + LANETAG_XXH64_PRIME5;
	}
	hash += length;
	for (__u32 i = 0; i < 3 && done + 8 <= length; i++, done += 8)
		hash = lanetag_rotate64(hash ^ lanetag_xxh64_round(0, lanetag_read64(bytes + done)),
					27) *
			       LANETAG_XXH64_PRIME1 +
		       LANETAG_XXH64_PRIME4;
	if (done + 4 <= length) {
		hash = lanetag_rotate64(hash ^ lanetag_read32(bytes + done) * LANETAG_XXH64_PRIME1,
					23) *
			       LANETAG_XXH64_PRIME2 +
		       LANETAG_XXH64_PRIME3;
		done += 4;
	}
	for (__u32 i = 0; i < 3 && done < length; i++, done++)
		hash = lanetag_rotate64(hash ^ bytes[done] * LANETAG_XXH64_PRIME5, 11) *
		       LANETAG_XXH64_PRIME1;
	hash = (hash ^ hash >> 33) * LANETAG_XXH64_PRIME2;
	hash = (hash ^ hash >> 29) * LANETAG_XXH64_PRIME3;
	return hash ^ hash >> 32;
}
