/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The subcommands. Each gets its own arguments (argv[0] is the subcommand's name) and gives the
 * exit status: 0 done, 1 the answer is no (check found errors), 2 wrong usage or the command itself
 * failed.
 */
#define EXIT_NEGATIVE 1
#define EXIT_USAGE 2

/* Where the agent listens for commands and the commands look for it. */
#define DEFAULT_CONTROL_PATH "/run/lanetag/control.sock"
#define DEFAULT_ADMIN_ADDRESS "127.0.0.1:15020"

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_simulate(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_observe(int argc, char **argv);
int command_promote(int argc, char **argv);
int command_ramp(int argc, char **argv);
int command_abort(int argc, char **argv);
int command_rollback(int argc, char **argv);
int command_status(int argc, char **argv);
int command_top(int argc, char **argv);
int command_flows(int argc, char **argv);
