// fuzz - what the fuzz targets share.
//
// A target is one file, fuzz_NAME.c, with one LLVMFuzzerTestOneInput. The preset "fuzz"
// links it with libFuzzer (run.sh); every other build links it with corpus_main.c and
// runs the files of corpus/NAME as a test.
//
// A target says what must hold with assert, on in every build.
#ifndef FAULTLINE_TESTS_FUZZ_H
#define FAULTLINE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

// LLVMFuzzerTestOneInput runs one input and returns 0; whatever is wrong ends the
// process. The name is libFuzzer's.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// fuzz_is_same tells whether both hold the same bytes.
bool fuzz_is_same(struct bytes left, struct bytes right);

// fuzz_mend_record computes the CRC anew of the record that begins at at, when its size
// fits, and returns where the next one begins; size when none does. Without that no
// mutation would ever get behind a CRC.
size_t fuzz_mend_record(uint8_t *data, size_t size, size_t at);

// fuzz_mend_batch does so for the batch of a segment that begins at at, and, records
// true, for the records in it before. The batch's mark is taken as it is.
size_t fuzz_mend_batch(uint8_t *data, size_t size, size_t at, bool records);

#endif
