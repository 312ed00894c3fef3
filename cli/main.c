// faultline - the command of a person at the house. A command is a struct command in
// a file of its own; here is which ones there are.
#include "cli/commands.h"
#include "common/mem.h"

// clang-format off
static const struct command *const commands[] = {
    &cmd_up,
    &cmd_down,
    &cmd_ps,
    &cmd_kill,
    &cmd_start,
    &cmd_pause,
    &cmd_resume,
    &cmd_crash_points,
    &cmd_chaos,
    &cmd_order,
    &cmd_transfer,
    &cmd_load,
    &cmd_replay,
    &cmd_rebuild,
    &cmd_trace,
    &cmd_tail,
    &cmd_logs,
    &cmd_groups,
    &cmd_dead_letters,
    &cmd_verify,
};
// clang-format on

int main(int argc, char **argv)
{
    return command_main(commands, ARRAY_LEN(commands), argc, argv);
}
