/* Strings, and the four functions the compiler may call on its own. */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int byte, size_t count);
void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
int memcmp(const void *a, const void *b, size_t count);

bool text_equal(const char *a, const char *b);
/** Copies at most capacity - 1 characters and terminates. */
void text_copy(char *to, size_t capacity, const char *from);
/** The length of the word (up to a blank or the end) text begins with. */
size_t word_length(const char *text);
/** Skips blanks. */
const char *skip_blanks(const char *text);
/** Reads a decimal number filling a word of `length` characters; false if it is none or does not fit 64 bits. */
bool parse_number(const char *text, size_t length, uint64_t *number);
/** The value of the word `key=value` in text, not terminated; NULL if there is none. */
const char *find_value(const char *text, const char *key);

#endif
