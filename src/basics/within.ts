const LATE = Symbol('late');

/** What a promise brings, or what `tooLate` says (or throws) if it takes longer; what it brings after that is nobody's. */
export async function within<Value, Late>(
  promise: Promise<Value>,
  limitMs: number,
  tooLate: () => Late,
): Promise<Value | Late> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => (timer = setTimeout(() => resolve(LATE), limitMs)));
  try {
    const first = await Promise.race([promise, late]);
    return first === LATE ? tooLate() : first;
  } finally {
    clearTimeout(timer);
  }
}
