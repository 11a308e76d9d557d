#include "text.h"

void *memset(void *to, int byte, size_t count) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(byte) : "memory");
  return start;
}

void *memcpy(void *to, const void *from, size_t count) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  return start;
}

void *memmove(void *to, const void *from, size_t count) {
  uint8_t *out = to;
  const uint8_t *in = from;
  if (out <= in) return memcpy(to, from, count);
  while (count-- > 0) out[count] = in[count];
  return to;
}

int memcmp(const void *a, const void *b, size_t count) {
  const uint8_t *x = a, *y = b;
  for (size_t i = 0; i < count; i++)
    if (x[i] != y[i]) return x[i] - y[i];
  return 0;
}

static bool equal(const char *a, const char *b, size_t length) { return memcmp(a, b, length) == 0; }

static size_t text_length(const char *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}

bool text_equal(const char *a, const char *b) {
  const size_t length = text_length(a);
  return length == text_length(b) && equal(a, b, length);
}

void text_copy(char *to, size_t capacity, const char *from) {
  size_t i = 0;
  for (; i + 1 < capacity && from[i] != 0; i++) to[i] = from[i];
  to[i] = 0;
}

size_t word_length(const char *text) {
  size_t length = 0;
  while (text[length] != 0 && text[length] != ' ') length++;
  return length;
}

const char *skip_blanks(const char *text) {
  while (*text == ' ') text++;
  return text;
}

bool parse_number(const char *text, size_t length, uint64_t *number) {
  uint64_t value = 0;
  if (length == 0) return false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    if (__builtin_mul_overflow(value, 10, &value)) return false;
    if (__builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value)) return false;
  }
  *number = value;
  return true;
}

const char *find_value(const char *text, const char *key) {
  const size_t key_length = text_length(key);
  for (text = skip_blanks(text); *text != 0; text = skip_blanks(text)) {
    const size_t length = word_length(text);
    if (length > key_length && text[key_length] == '=' && equal(text, key, key_length)) return text + key_length + 1;
    text += length;
  }
  return NULL;
}
