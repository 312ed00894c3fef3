// stack_json - the text of stack.json, which stack reads and writes.
//
//   {"format":1,"boot_id":"…","started_at":"…","bin":"/…","http_port":8000,"bus_port":5550,
//    "settings":["FRAUD_LIMIT_MINOR=100"],
//    "processes":[{"name":"broker","service":"broker","replica":1,"port":8000,
//                  "pid":4711,"start_time":123456}]}
#ifndef FAULTLINE_CLI_STACK_JSON_H
#define FAULTLINE_CLI_STACK_JSON_H

#include "common/err.h"

struct stack;

// stack_to_json returns the text, which the caller frees.
char *stack_to_json(const struct stack *stack);

// stack_from_json reads it into a stack in folder dir, which the caller owns. The
// pids are forgotten when another run of the kernel gave them. ERR_CORRUPT: *problem,
// which the caller frees, says what is wrong with the text.
enum err stack_from_json(struct stack **out, const char *dir, const char *text, char **problem);

#endif
