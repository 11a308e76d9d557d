/** The report's script: draws what the document's data say, in the colours of its style. It runs in a browser. */
export const SCRIPT = `
'use strict';
const data = JSON.parse(document.getElementById('plot-data').textContent);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const number = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const shorten = (value) => (value >= 10000 ? number.format(value / 1000) + 'k' : number.format(value));

function axis(label, side) {
  return {
    label,
    labelSize: 22,
    labelFont: '12px system-ui, sans-serif',
    font: '11px system-ui, sans-serif',
    size: side === 3 ? 52 : 34,
    stroke: () => colour('faint'),
    grid: { stroke: () => colour('rule'), width: 1 },
    ticks: { stroke: () => colour('rule'), width: 1 },
    values: (_plot, values) => values.map((value) => (value === null ? '' : shorten(value))),
  };
}

function draw(place) {
  const plot = data[place.dataset.plot];
  const lines = plot.systems.map((system) => ({
    label: system,
    stroke: () => colour('line-' + system),
    width: system === 'postcopy' ? 2 : 1.5,
    spanGaps: true,
    points: { show: false },
    value: (_plot, value) => (value === null ? '-' : number.format(value)),
  }));
  const options = {
    width: place.clientWidth,
    height: 240,
    scales: { x: plot.logX ? { time: false, distr: 3 } : { time: false } },
    axes: [axis(plot.xLabel, 2), axis(plot.yLabel, 3)],
    series: [{ label: plot.xLabel, value: (_plot, value) => (value === null ? '-' : number.format(value)) }, ...lines],
  };
  const drawn = new uPlot(options, [plot.x, ...plot.y], place);
  new ResizeObserver(() => drawn.setSize({ width: place.clientWidth, height: 240 })).observe(place);
  return drawn;
}

const drawn = [...document.querySelectorAll('[data-plot]')].map(draw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawn.forEach((plot) => plot.redraw()));
`;
