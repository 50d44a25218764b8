/** Deno lets a process whose libraries are redirected start others only where it may start any. */
const REDIRECTS = /^(LD|DYLD)_/;

/** Deno has no way to write a comma within a list: a path with one in its name takes the permission for all. */
const only = (permission: string, paths: readonly string[], scheme = "") =>
  paths.some((path) => path.includes(","))
    ? permission
    : `${permission}=${scheme}${paths.join(",")}`;

/** As words of the serve task's command line, which parts them at spaces and has no quotes for them. */
const onlyWord = (permission: string, path: string) =>
  /\s/.test(path) ? permission : only(permission, [path]);

/**
 * What the front process may do: read (models and adapters lie anywhere), make its socket's directory in the
 * temporary one, listen, and start `deno` for the engine. All variables but its own and TMPDIR look unset, and nothing
 * more is asked for. With LD_LIBRARY_PATH or the like in `environment`, as GPU hosts often have it for their driver,
 * it must be allowed to start any program, for the engine needs the variable too.
 */
export function frontPermissions(
  deno: string,
  environment: Readonly<Record<string, string>>,
): string[] {
  const redirected = Object.keys(environment).some((name) => REDIRECTS.test(name));
  const temp = environment.TMPDIR || "/tmp";
  return [
    "--no-prompt",
    "--allow-read",
    onlyWord("--allow-write", temp),
    "--allow-net",
    "--allow-env=CHORUS_*,TMPDIR",
    "--ignore-env",
    redirected ? "--allow-run" : onlyWord("--allow-run", deno),
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
    only("--allow-read", [...directories, socket]),
    only("--allow-write", [socket]),
    only("--allow-net", [socket], "unix:"),
    "--allow-env=DENO_WEBGPU_BACKEND,XDG_RUNTIME_DIR",
    "--ignore-env",
    ...(dawn ? ["--allow-ffi"] : []),
  ];
}

/**
 * Paths, and where those that are links lead: Deno asks for both. Of `model`, whose files are links themselves in
 * Hugging Face's cache, where each of these leads too.
 */
export async function throughLinks(model: string, others: readonly string[]): Promise<string[]> {
  const paths = [model, ...others];
  for await (const { name, isSymlink } of Deno.readDir(model)) {
    if (isSymlink) paths.push(`${model}/${name}`);
  }
  const ends = paths.map((path) => Deno.realPath(path).catch(() => path)); // its reader tells of what is not there
  return [...new Set([...paths, ...await Promise.all(ends)])];
}

// The serve task puts these into its command line.
if (import.meta.main) {
  console.log(frontPermissions(Deno.execPath(), Deno.env.toObject()).join(" "));
}
