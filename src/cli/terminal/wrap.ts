/** Breaks text between words. A word that is too long (a path) stays whole: it must survive copying. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of text.split(' ')) {
    if (line !== undefined && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === undefined ? word : `${line} ${word}`;
  }
  return [...lines, line ?? ''];
}

/** Rows of a label and a text that wraps under itself. */
export const labelled = (
  rows: readonly (readonly [label: string, text: string])[],
  options: {labelWidth: number; width?: number; paint: (text: string) => string},
): string[] => {
  const {labelWidth, width = 80, paint} = options;
  return rows.flatMap(([label, text]) =>
    wrapText(text, width - labelWidth - 4).map(
      (line, i) => `  ${i === 0 ? paint(label.padEnd(labelWidth)) : ' '.repeat(labelWidth)}  ${line}`,
    ),
  );
};
