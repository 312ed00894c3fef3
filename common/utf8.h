// utf8 - which bytes are text.
#ifndef FAULTLINE_UTF8_H
#define FAULTLINE_UTF8_H

#include <stddef.h>
#include <stdint.h>

// utf8_size returns how many bytes (1 to 4) the character at data takes, of which
// left are there, and 0 when they are not UTF-8 (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF).
size_t utf8_size(const uint8_t *data, size_t left);

#endif
