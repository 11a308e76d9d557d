import { runHere } from './commands.js';

/** Packs a folder as an initramfs (newc cpio, not compressed: unpacking costs more than reading on a virtual host). */
export async function packInitramfs(root: string, target: string): Promise<void> {
  // cpio reads names from its input; a shell joins the two. Both paths go in as arguments, not into the text.
  await runHere('sh', [
    '-c',
    'cd "$1" && find . -print | sort | cpio -o -H newc -R 0:0 --quiet > "$2"',
    'pack',
    root,
    target,
  ]);
}
