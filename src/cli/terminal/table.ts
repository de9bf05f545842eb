/** Columns of text, aligned. Widths are in characters: no cell contains colours, they are added to whole columns. */
export interface TableColumn {
  align?: 'left' | 'right';
  paint?: (text: string) => string;
  /** Longer cells are cut in their middle, where names of layers differ least. */
  maxWidth?: number;
}

const shorten = (text: string, width: number): string => {
  if (text.length <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
};

export function tableLines(rows: readonly (readonly string[])[], columns: readonly TableColumn[], indent = '  '): string[] {
  const cells = rows.map((row) => row.map((cell, i) => shorten(cell, columns[i]?.maxWidth ?? Number.POSITIVE_INFINITY)));
  const widths = columns.map((_, i) => cells.reduce((widest, row) => Math.max(widest, row[i]?.length ?? 0), 0));
  return cells.map((row) => {
    const padded = row.map((cell, i) => {
      const {align = 'left', paint = (text: string) => text} = columns[i]!;
      const gap = ' '.repeat(widths[i]! - cell.length);
      const last = i === row.length - 1;
      return align === 'right' ? gap + paint(cell) : paint(cell) + (last ? '' : gap);
    });
    return `${indent}${padded.join('  ')}`.trimEnd();
  });
}
