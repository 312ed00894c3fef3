// table - rows of text in aligned columns, for people.
#ifndef FAULTLINE_CLI_TABLE_H
#define FAULTLINE_CLI_TABLE_H

#include <stdio.h>

#include "cli/term.h"

enum table_align {
    TABLE_LEFT,
    TABLE_RIGHT
};

struct table_column {
    const char *title;
    enum table_align align;
};

struct table; // opaque

// table_new makes an empty table; columns is borrowed and outlives it.
struct table *table_new(const struct table_column *columns, size_t columns_count);
void table_destroy(struct table **self_p);

// table_add adds the next cell, from left to right; the cell behind the last
// column begins the next row. Cells hold one line.
__attribute__((format(printf, 3, 4))) void table_add(struct table *self, enum colour colour,
                                                     const char *format, ...);

// table_rows_count is the number of rows begun.
size_t table_rows_count(const struct table *self);

// table_print writes titles and rows, each line behind indent spaces, without
// spaces at its end. Colours only where out shows them.
void table_print(const struct table *self, size_t indent, FILE *out);

#endif
