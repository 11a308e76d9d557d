/** The report's look, for light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --panel: #ffffff; --ink: #1d2125; --faint: #5f6871; --rule: #dfe2e5;
  --good: #1a7f4b; --bad: #c0362c;
  --line-postcopy: #1667c1; --line-postcopy-tls: #1f8f5f; --line-qemu-preempt: #d06a00; --line-qemu: #7a8088;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16191c; --panel: #1e2226; --ink: #e4e7ea; --faint: #9aa3ac; --rule: #353b41;
    --good: #4cc38a; --bad: #ff7b6b;
    --line-postcopy: #5aa9ff; --line-postcopy-tls: #5fd39b; --line-qemu-preempt: #ffa14a; --line-qemu: #a8b0b8;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 44px 0 4px; padding-top: 20px; border-top: 1px solid var(--rule); }
h3 { font-size: 14px; margin: 0 0 6px; }
p, .note { color: var(--faint); margin: 0 0 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td.number { white-space: nowrap; }
tbody th { font-weight: 400; color: var(--faint); }
.range { color: var(--faint); }
.met { color: var(--good); font-weight: 600; }
.missed, .failed { color: var(--bad); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px; margin: 16px 0 20px; }
.plots > :first-child { grid-column: 1 / -1; }
.plot { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: 12px; min-width: 0; }
.u-legend { font-size: 12.5px; color: var(--faint); }
.u-legend th, .u-legend td { border: 0; padding: 2px 4px; }
.u-legend th { font-weight: 400; }
`;
