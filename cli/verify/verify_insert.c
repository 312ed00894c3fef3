#include "cli/verify/verify_insert.h"

enum err verify_insert_row(struct verify_insert *insert, const struct verify_value *values)
{
    if (insert->row == NULL) {
        insert->row = verify_db_query(insert->db, insert->sql);
    }
    if (insert->row == NULL) {
        return ERR_IO;
    }
    for (; values->kind != VERIFY_VALUE_END; values++) {
        if (values->kind == VERIFY_VALUE_TEXT) {
            verify_row_bind_text(insert->row, values->text);
        } else {
            verify_row_bind_int(insert->row, values->number);
        }
    }
    const enum err err = verify_row_next(insert->row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
