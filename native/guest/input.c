#include "input.h"

#include <stdbool.h>
#include <stddef.h>

#include "json.h"
#include "serial.h"

enum { MAX_LINE = 256 };

static char line[MAX_LINE + 1];
static uint32_t length;
static bool too_long;

/** The line, or NULL if it is to be ignored. */
static const char *end_line(void) {
  const bool refused = too_long;
  line[length] = 0;
  length = 0;
  too_long = false;
  if (refused) json_error("a line has more than 256 characters and is ignored");
  return refused ? NULL : line;
}

const char *input_poll(void) {
  uint8_t byte;
  while (serial_get(&byte)) {
    if (byte == '\n' || byte == '\r') {
      const char *whole = end_line();
      if (whole != NULL) return whole;
    } else if (length == MAX_LINE) {
      too_long = true;
    } else {
      line[length++] = byte < ' ' || byte > '~' ? ' ' : (char)byte;
    }
  }
  return NULL;
}
