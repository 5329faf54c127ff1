/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

/*
 * Sends libbpf's messages to our log, one level down: what libbpf calls a warning is often the
 * expected end of a probe (a program variant that this kernel does not take), and what really
 * failed we name ourselves.
 */
void libbpf_log_install(void);
