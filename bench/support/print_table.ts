/** Of the first column. */
export const WIDTH = 20;
/** An empty line, what the table is about, and the heads of its columns of numbers. */
export function title(text: string, columns: readonly string[]): void {
  const heads = columns.map((column) => column.padStart(10)).join("");
  console.log(`\n${text}\n${"".padEnd(WIDTH)}${heads}`);
}

/** A line of numbers; `digits` of those that are not whole. */
export function row(name: string, numbers: readonly number[], digits = 2): void {
  const cells = numbers.map((number) => {
    const whole = Number.isInteger(number) && number > 1;
    return number.toFixed(whole ? 0 : Math.max(digits, number < 1 ? 3 : 0)).padStart(10);
  });
  console.log(`${name.padEnd(WIDTH)}${cells.join("")}`);
}
