/** C0 and C1 control characters, ESC among them. */
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/g;

/** Text from another process or host, harmless for a terminal and on one line. */
export function plain(text: string): string {
  return text.replace(CONTROL_CHARACTERS, '?');
}
