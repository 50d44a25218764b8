/**
 * Names stand in metrics' labels, in lists with commas, and in URLs.
 * @throws {RangeError} where an adapter of the base model `parent` cannot have this one.
 */
export function checkAdapterName(
  { name, parent }: { readonly name: string; readonly parent: string },
): void {
  // deno-lint-ignore no-control-regex
  const usable = name.length > 0 && name.length <= 256 && !/[,\u0000-\u001f\u007f]/.test(name);
  const why = name === parent
    ? "its name is the base model's"
    : usable
    ? null
    : "expected a name of at most 256 characters without commas and control characters";
  if (why !== null) {
    throw new RangeError(`Cannot register adapter: ${why}, received ${JSON.stringify(name)}`);
  }
}
