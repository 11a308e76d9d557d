/** Adds to a short list; where it is full, in place of the one that was heard of least lately (`at` is smallest). */
export function addInPlaceOfOldest<T extends { at: number }>(list: T[], item: T, most: number): void {
  if (list.length < most) {
    list.push(item);
    return;
  }
  const oldest = list.reduce((a, b) => (b.at < a.at ? b : a));
  list[list.indexOf(oldest)] = item;
}
