import { assert, assertEquals } from "@std/assert";
import { enginePermissions, frontPermissions, throughLinks } from "../../cli/permissions.ts";

/** Runs a line of code under permissions, and tells whether it was allowed to. */
async function may(permissions: readonly string[], code: string): Promise<boolean> {
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(script, code);
    const { stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", ...permissions, script],
      stdout: "null",
      stderr: "piped",
    }).output();
    const text = new TextDecoder().decode(stderr);
    assert(success || text.includes("NotCapable"), text);
    return success;
  } finally {
    await Deno.remove(script);
  }
}

Deno.test("the image starts the server with the front's permissions, and Deno as its first process", async () => {
  const file = await Deno.readTextFile(new URL("../../Dockerfile", import.meta.url));
  const entrypoint = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(file)?.[1] ?? "[]");
  assertEquals(entrypoint, [
    "deno",
    "run",
    "--cached-only",
    ...frontPermissions("/usr/bin/deno", {}),
    "main.ts",
  ]);
});

Deno.test("the image's Deno is the one that the README names", async () => {
  const version = async (file: string) => {
    const text = await Deno.readTextFile(new URL(`../../${file}`, import.meta.url));
    return new Set(text.matchAll(/deno[@:](\d+\.\d+\.\d+)/g).map((found) => found[1]));
  };
  assertEquals(await version("Dockerfile"), new Set([Deno.version.deno]));
  assertEquals(await version("README.md"), new Set([Deno.version.deno]));
});

Deno.test("the engine may use its own directories and socket, and nothing else", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const permissions = enginePermissions({
      socket: `${directory}/engine.sock`,
      directories: [directory],
      dawn: false,
    });
    assert(await may(permissions, `Deno.readDirSync(${JSON.stringify(directory)})`));
    const listen = { transport: "unix", path: `${directory}/engine.sock` };
    assert(await may(permissions, `Deno.listen(${JSON.stringify(listen)}).close()`));
    const denied = [
      `Deno.readTextFileSync("/etc/hostname")`,
      `Deno.writeTextFileSync(${JSON.stringify(`${directory}/x`)}, "")`,
      `Deno.listen({ port: 0 })`,
      `Deno.dlopen("libc.so.6", {})`,
      `new Deno.Command(Deno.execPath()).outputSync()`,
    ];
    for (const code of denied) assert(!await may(permissions, code), code);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the engine may read where links lead: a root's, and those of a model in Hugging Face's cache", async () => {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const name of ["blobs", "model", "there", "private"]) {
      await Deno.mkdir(`${directory}/${name}`);
      await Deno.writeTextFile(`${directory}/${name}/file`, "");
    }
    await Deno.symlink("../blobs/file", `${directory}/model/weights`);
    await Deno.symlink("there", `${directory}/root`);
    await Deno.symlink("../private", `${directory}/there/link`);
    const directories = await throughLinks(`${directory}/model`, [
      `${directory}/root`,
      `${directory}/nothing`,
    ]);
    const permissions = enginePermissions({ socket: "/tmp/s", directories, dawn: false });
    const sized = (path: string) => {
      const name = JSON.stringify(`${directory}/${path}`);
      return may(permissions, `using file = Deno.openSync(${name}); file.statSync()`);
    };
    for (const path of ["model/weights", "root/file", "there/file"]) {
      assert(await sized(path), path);
    }
    for (const path of ["root/link/file", "private/file"]) assert(!await sized(path), path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a socket whose path has commas or spaces can be opened all the same", async () => {
  for (const prefix of ["a,b", "a b"]) {
    const directory = await Deno.makeTempDir({ prefix });
    try {
      const path = `${directory}/engine.sock`;
      const permissions = enginePermissions({ socket: path, directories: [], dawn: false });
      const listen = JSON.stringify({ transport: "unix", path });
      assert(await may(permissions, `Deno.listen(${listen}).close()`), prefix);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
});

Deno.test("a directory with a comma in its name can be read all the same", async () => {
  const directory = await Deno.makeTempDir({ prefix: "a,b" });
  try {
    const permissions = enginePermissions({
      socket: "/tmp/s",
      directories: [directory],
      dawn: false,
    });
    assert(await may(permissions, `Deno.readDirSync(${JSON.stringify(directory)})`));
    assert(
      !await may(permissions, `Deno.writeTextFileSync(${JSON.stringify(`${directory}/x`)}, "")`),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the front sees its own variables and starts nothing but the engine's program", async () => {
  const permissions = frontPermissions(Deno.execPath(), {});
  assert(await may(permissions, `if (Deno.env.get("PATH") !== undefined) Deno.exit(2)`));
  assert(!await may(permissions, `new Deno.Command("/bin/sh").outputSync()`));
  assert(!await may(permissions, `Deno.writeTextFileSync("/root/x", "")`));
});

Deno.test("frontPermissions() may start any program only where libraries are redirected", () => {
  const run = (environment: Record<string, string>) =>
    frontPermissions("/usr/bin/deno", environment).filter((flag) => flag.startsWith("--allow-run"));
  assertEquals(run({ PATH: "/bin" }), ["--allow-run=/usr/bin/deno"]);
  assertEquals(run({ LD_LIBRARY_PATH: "/usr/local/nvidia/lib64" }), ["--allow-run"]);
});

Deno.test("frontPermissions() names no path that the serve task's command line or Deno's lists would part", () => {
  const paths = (deno: string, TMPDIR: string) =>
    frontPermissions(deno, { TMPDIR }).filter((flag) => /^--allow-(run|write)/.test(flag));
  assertEquals(paths("/my programs/deno", "/tmp"), ["--allow-write=/tmp", "--allow-run"]);
  assertEquals(paths("/bin/deno", "/my files"), ["--allow-write", "--allow-run=/bin/deno"]);
  assertEquals(paths("/a,b/deno", "/c,d"), ["--allow-write", "--allow-run"]);
});
