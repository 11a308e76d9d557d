/* Writes one JSON object per line to the serial port as it is made; there is no buffer of the whole.
 * vCPU 0 only. A NULL key is an element of an array. */
#ifndef GUEST_JSON_H
#define GUEST_JSON_H

#include <stdint.h>

void json_event(const char *event);
void json_number(const char *key, uint64_t value);
/** value / 16 with its decimals. */
void json_sixteenths(const char *key, uint64_t sixteenths);
/** "0x..." as text: 64-bit values do not survive as JSON numbers. */
void json_hex(const char *key, uint64_t value);
void json_text(const char *key, const char *value);
void json_array(const char *key);
void json_array_end(void);
void json_object(const char *key);
void json_object_end(void);
/** Closes the event and sends it. */
void json_end(void);
/** A whole {"event":"error","text":...}. */
void json_error(const char *text);

#endif
