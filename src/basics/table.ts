import { plain } from './plain.js';

const GAP = '  ';

/** Rows in columns as wide as their widest cell; the first row is the heading. */
export function formatTable(rows: string[][]): string {
  const cells = rows.map((row) => row.map(plain));
  const widths = cells.reduce<number[]>((wide, row) => row.map((cell, i) => Math.max(wide[i] ?? 0, cell.length)), []);
  const line = (row: string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(GAP)
      .trimEnd();
  return cells.map((row) => `${line(row)}\n`).join('');
}

/** Labels in one column, values in the next. */
export function formatFields(fields: [label: string, value: string | undefined][]): string {
  return formatTable(fields.filter((field): field is [string, string] => field[1] !== undefined));
}
