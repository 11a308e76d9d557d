/** What to say of a VM that stays paused because a migration failed and another host had one of its disks. */
export function heldText(name: string, reason: string): string {
  return (
    `${reason}. ${name} stays paused: if the VM has run there, or something else has written to its disks, what it has of ` +
    'them in memory is no longer what is on them, and going on would destroy its file systems. See first that it runs on ' +
    `no other host (postcopy status ${name}, there) and that nobody else has used its disks. If so, postcopy resume ` +
    `${name}; otherwise postcopy stop --force ${name}, and boot it anew if it runs nowhere`
  );
}
