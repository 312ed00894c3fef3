#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    COLUMN_GAP = 2
};

struct cell {
    char *text; // owned
    enum colour colour;
};

struct table {
    const struct table_column *columns; // borrowed
    size_t columns_count;
    struct cell *cells; // owned, row by row
    size_t cells_count;
    size_t cells_capacity;
};

struct table *table_new(const struct table_column *columns, size_t columns_count)
{
    assert(columns_count > 0);
    struct table *self = mem_calloc(1, sizeof *self);
    *self = (struct table){.columns = columns, .columns_count = columns_count};
    return self;
}

void table_destroy(struct table **self_p)
{
    struct table *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->cells_count; i++) {
        free(self->cells[i].text);
    }
    free(self->cells);
    free(self);
    *self_p = NULL;
}

void table_add(struct table *self, enum colour colour, const char *format, ...)
{
    self->cells =
        mem_grow(self->cells, &self->cells_capacity, self->cells_count + 1, sizeof *self->cells);
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    self->cells[self->cells_count++] = (struct cell){.text = text, .colour = colour};
}

size_t table_rows_count(const struct table *self)
{
    return (self->cells_count + self->columns_count - 1) / self->columns_count;
}

static size_t column_width(const struct table *self, size_t column)
{
    size_t width = term_text_width(self->columns[column].title);
    for (size_t i = column; i < self->cells_count; i += self->columns_count) {
        const size_t cell_width = term_text_width(self->cells[i].text);
        width = cell_width > width ? cell_width : width;
    }
    return width;
}

// One line; the spaces that pad a cell are written only when another text follows.
struct line {
    FILE *out;
    bool colours;
    size_t spaces; // owed before the next text
};

static void print_cell(struct line *line, const struct cell *cell, size_t width,
                       enum table_align align)
{
    const size_t text_width = term_text_width(cell->text);
    const size_t padding = width > text_width ? width - text_width : 0;
    line->spaces += align == TABLE_RIGHT ? padding : 0;
    if (text_width > 0) {
        fprintf(line->out,
                "%*s%s%s%s",
                (int)line->spaces,
                "",
                term_start(cell->colour, line->colours),
                cell->text,
                term_end(cell->colour, line->colours));
        line->spaces = 0;
    }
    line->spaces += (align == TABLE_RIGHT ? 0 : padding) + COLUMN_GAP;
}

void table_print(const struct table *self, size_t indent, FILE *out)
{
    size_t *widths = mem_calloc(self->columns_count, sizeof *widths);
    for (size_t c = 0; c < self->columns_count; c++) {
        widths[c] = column_width(self, c);
    }
    struct line line = {.out = out, .colours = term_has_colours(out), .spaces = indent};
    for (size_t c = 0; c < self->columns_count; c++) {
        char *title = mem_strdup(self->columns[c].title);
        const struct cell cell = {.text = title, .colour = COLOUR_DIM};
        print_cell(&line, &cell, widths[c], self->columns[c].align);
        free(title);
    }
    for (size_t i = 0; i < self->cells_count; i++) {
        const size_t c = i % self->columns_count;
        if (c == 0) {
            fputc('\n', out);
            line.spaces = indent;
        }
        print_cell(&line, &self->cells[i], widths[c], self->columns[c].align);
    }
    fputc('\n', out);
    free(widths);
}
