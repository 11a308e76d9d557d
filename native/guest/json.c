#include "json.h"

#include <stdbool.h>
#include <stddef.h>

#include "serial.h"

static bool first_member;

static void raw(const char *text) {
  while (*text != 0) serial_put(*text++);
}

static void digits(uint64_t value) {
  char reversed[20];
  int count = 0;
  do reversed[count++] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  while (count > 0) serial_put(reversed[--count]);
}

static void quoted(const char *text) {
  serial_put('"');
  for (; *text != 0; text++) {
    if (*text == '"' || *text == '\\') serial_put('\\');
    serial_put(*text < ' ' || *text > '~' ? '?' : *text);
  }
  serial_put('"');
}

static void member(const char *key) {
  if (!first_member) serial_put(',');
  first_member = false;
  if (key == NULL) return;
  quoted(key);
  serial_put(':');
}

static void open(const char *key, char bracket) {
  member(key);
  serial_put(bracket);
  first_member = true;
}

static void close(char bracket) {
  serial_put(bracket);
  first_member = false;
}

void json_event(const char *event) {
  serial_put('{');
  first_member = true;
  json_text("event", event);
}

void json_number(const char *key, uint64_t value) {
  member(key);
  digits(value);
}

void json_sixteenths(const char *key, uint64_t sixteenths) {
  static const char *const decimals[] = {"",   ".0625", ".125", ".1875", ".25", ".3125", ".375", ".4375",
                                         ".5", ".5625", ".625", ".6875", ".75", ".8125", ".875", ".9375"};
  member(key);
  digits(sixteenths / 16);
  raw(decimals[sixteenths % 16]);
}

void json_hex(const char *key, uint64_t value) {
  member(key);
  raw("\"0x");
  for (int shift = 60; shift >= 0; shift -= 4) serial_put("0123456789abcdef"[(value >> shift) & 15]);
  serial_put('"');
}

void json_text(const char *key, const char *value) {
  member(key);
  quoted(value);
}

void json_array(const char *key) { open(key, '['); }

void json_array_end(void) { close(']'); }

void json_object(const char *key) { open(key, '{'); }

void json_object_end(void) { close('}'); }

void json_end(void) {
  close('}');
  serial_put('\n');
  serial_flush();
}

void json_error(const char *text) {
  json_event("error");
  json_text("text", text);
  json_end();
}
