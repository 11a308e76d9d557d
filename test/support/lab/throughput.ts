import { DebianDisks, DebianVm } from './debian-vm.js';
import type { LabHost } from './host.js';
import { Lab } from './lab.js';
import { qemuImage, qemuIn } from './qemu-image.js';
import { cpuTimes, shares, vmmPid } from './thread-times.js';

/**
 * Disk and network of the same Debian guest under QEMU's KVM and under postcopy, in one virtual host, and who used the
 * CPU meanwhile. The host is emulated: only the ratios say something.
 */
const QEMU_DISK = '/dev/vde';
const QEMU_FOLDER = '/tmp/qemu';
const STEP_LIMIT_MS = 300_000;
const PORT = 7000;
const RUNS = 3;
const MIB = 1024 * 1024;

const disk = (way: string, size: string, count: number): string =>
  `dd ${way} bs=${size} count=${count} 2>&1`.replace('FILE', '/root/scratch');

const JOBS: Record<string, string> = {
  'disk write 1M': disk('if=/dev/zero of=FILE oflag=direct conv=notrunc', '1M', 48),
  'disk read 1M': disk('if=FILE of=/dev/null iflag=direct', '1M', 48),
  'disk write 4K': disk('if=/dev/zero of=FILE oflag=direct conv=notrunc', '4k', 500),
  'disk read 4K': disk('if=FILE of=/dev/null iflag=direct', '4k', 1000),
  'network send': `dd if=/dev/zero bs=64k count=512 2>&1 >/dev/tcp/10.77.0.1/${PORT}`,
  'network receive': `dd of=/dev/null bs=64k count=512 iflag=fullblock 2>&1 </dev/tcp/10.77.0.1/${PORT + 1}`,
};

type Figures = Record<string, number>;

/** QEMU by the name of its cache mode: `none` goes past the host's page cache, `writeback` through it as postcopy does. */
const QEMU_CACHE: Record<string, string> = { qemu: 'none', 'qemu-writeback': 'writeback' };

async function boot(vm: DebianVm, lab: Lab, vmm: string): Promise<void> {
  const host = lab.host(1);
  const cache = QEMU_CACHE[vmm];
  if (cache === undefined) return vm.boot(host, { cpus: 1 });
  await host.run(`mkdir ${QEMU_FOLDER} && mount -o ro ${QEMU_DISK} ${QEMU_FOLDER}`);
  return vm.bootUnderQemu(host, qemuIn(QEMU_FOLDER), { cpus: 1, cache });
}

/** Each listener takes one connection, then its shell starts it again. */
async function listening(host: LabHost): Promise<void> {
  for (const port of [PORT, PORT + 1]) await host.run(`until netstat -ltn | grep -q ':${port} '; do sleep 0.1; done`);
}

/** MiB/s by the guest's clock, the best of some runs: the machine is never quite idle. */
async function measure(vm: DebianVm, command: string, ready: () => Promise<void>): Promise<number> {
  const rates: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    await ready();
    const text = await vm.shell(command, STEP_LIMIT_MS);
    const [, bytes, seconds] = /(\d+) bytes .*, ([\d.e-]+) s,/.exec(text) ?? [];
    rates.push(Number(bytes) / MIB / Number(seconds));
  }
  return Math.max(...rates);
}

async function figuresOf(vmm: string): Promise<Figures> {
  const disks = await DebianDisks.make('throughput');
  const all = [...disks.all, { file: await qemuImage(), shared: false }];
  const lab = await Lab.start({ name: `throughput-${vmm}`, hosts: 1, disks: all });
  try {
    const host = lab.host(1);
    host.spawn(`while true; do nc -l -p ${PORT} </dev/null >/dev/null; done`);
    host.spawn(`while true; do dd if=/dev/zero bs=64k count=512 | nc -l -p ${PORT + 1} >/dev/null; done`);
    const vm = new DebianVm();
    const start = performance.now();
    await boot(vm, lab, vmm);
    process.stderr.write(`${vmm}: login after ${Math.round((performance.now() - start) / 1000)} s\n`);
    const figures: Figures = {};
    const pid = await vmmPid(host);
    for (const [name, command] of Object.entries(JOBS)) {
      const before = await cpuTimes(host, pid);
      figures[name] = await measure(vm, command, () => listening(host));
      const users = shares(before, await cpuTimes(host, pid)).map(([who, share]) => `${who} ${share} %`);
      process.stderr.write(`${vmm}: ${name} ${figures[name]?.toFixed(2)} MiB/s: ${users.join('; ')}\n`);
    }
    return figures;
  } finally {
    await lab.close();
    disks.remove();
  }
}

const known = [...Object.keys(QEMU_CACHE), 'postcopy'];
const wanted = process.argv.slice(2);
const unknown = wanted.find((vmm) => !known.includes(vmm));
if (unknown !== undefined) throw new Error(`${unknown} is none of ${known.join(', ')}`);
const results = new Map<string, Figures>();
for (const vmm of wanted.length > 0 ? wanted : known) results.set(vmm, await figuresOf(vmm));
console.table(Object.fromEntries(results));
const ours = results.get('postcopy');
for (const [vmm, theirs] of results) {
  if (ours === undefined || theirs === ours) continue;
  for (const [name, rate] of Object.entries(theirs)) {
    console.log(`${name}: postcopy / ${vmm} = ${((ours[name] ?? NaN) / rate).toFixed(2)}`);
  }
}
