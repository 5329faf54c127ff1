/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The options of commands that log: --log-level and --log-format, in force at once. */

/* 0, or -1 (told to standard error in the command's name). */
int log_option_level(const char *command, const char *text);
int log_option_format(const char *command, const char *text);
