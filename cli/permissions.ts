/** Commas part the entries of a permission list; doubled ones are part of an entry. */
const list = (entries: readonly string[]) =>
  entries.map((entry) => entry.replaceAll(",", ",,")).join(",");

/**
 * What the front process may do: read (models and adapters lie anywhere), make its socket's directory in `temp`,
 * listen, and start `deno` for the engine. All variables but its own look unset, and nothing more is asked for.
 */
export function frontPermissions(deno: string, temp: string): string[] {
  return [
    "--no-prompt",
    "--allow-read",
    `--allow-write=${list([temp])}`,
    "--allow-net",
    "--allow-env=CHORUS_*",
    "--ignore-env",
    `--allow-run=${list([deno])}`,
  ];
}

/**
 * What the engine process may do: read the program, the model and the adapters, and talk to the front. WebGPU
 * itself needs no permission; Dawn is a native addon, which needs that for native code.
 */
export function enginePermissions(options: {
  readonly socket: string;
  readonly directories: readonly string[];
  readonly dawn: boolean;
}): string[] {
  const { socket, directories, dawn } = options;
  return [
    "--no-prompt",
    `--allow-read=${list([...directories, socket])}`,
    `--allow-write=${list([socket])}`,
    `--allow-net=${list([`unix:${socket}`])}`,
    "--allow-env=DENO_WEBGPU_BACKEND,XDG_RUNTIME_DIR",
    "--ignore-env",
    ...(dawn ? ["--allow-ffi"] : []),
  ];
}

// The serve task puts these into its command line.
if (import.meta.main) {
  console.log(frontPermissions(Deno.execPath(), Deno.env.get("TMPDIR") ?? "/tmp").join(" "));
}
