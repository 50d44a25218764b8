import { InvalidArgumentError } from "commander";

/** A flag's number above zero. @throws {InvalidArgumentError} */
export function positive(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError(`expected a number above 0, received ${JSON.stringify(text)}`);
}

/** A flag's numbers above zero, separated by commas. @throws {InvalidArgumentError} */
export const numbers = (text: string): number[] => text.split(",").map(positive);

/** A flag's number, zero or above. @throws {InvalidArgumentError} */
export function notNegative(text: string): number {
  return text === "0" ? 0 : positive(text);
}
