// rebuild_tables - what stands in the database of a service, and what of it the log can
// give back: table by table, column by column.
//
// A row comes from events, or from HTTP alone: then no event of its subject ever went to
// the service. Such rows are carried over from the living database as they are. Of all
// rows the columns named here must be the same in the living database and in the rebuilt
// one, but for those that say why they may differ.
//
// In all SQL $ stands for the database: living (a copy), main (the rebuilt one), or plan.
#ifndef FAULTLINE_CLI_REBUILD_TABLES_H
#define FAULTLINE_CLI_REBUILD_TABLES_H

#include <stddef.h>

enum {
    REBUILD_COLUMNS_MAX = 8
};

struct rebuild_column {
    const char *name;       // NULL ends the list
    const char *may_differ; // why; NULL: it must be the same
};

struct rebuild_table {
    const char *name;
    const char *from; // SQL: the rows, "$.payments t"
    const char *key;  // SQL over the row: what tells it from all others, as text
    struct rebuild_column columns[REBUILD_COLUMNS_MAX];
    const char *carry;     // SQL that takes rows over from living to main; NULL: none
    const char *from_http; // what such rows are, for people; NULL: there are none
};

struct rebuild_service {
    const char *name;
    const char *cannot; // why the log cannot give its database back; NULL: it can
    const struct rebuild_table *tables;
    size_t tables_count;
};

// rebuild_service_find gives what is known of a service, or NULL: there is no such one.
const struct rebuild_service *rebuild_service_find(const char *name);

// The tables that each service has, besides its own: inbox and outbox. They come last.
extern const struct rebuild_table rebuild_common_tables[];
extern const size_t rebuild_common_tables_count;

#endif
