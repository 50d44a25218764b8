// Makes a bare machine ready: npm packages are installed by Deno itself when this file's imports resolve;
// what is left is a Vulkan driver. Run before serve and test.

const INSTALL = ["install", "-y", "--no-install-recommends", "mesa-vulkan-drivers", "libvulkan1"];

/** True where WebGPU finds an adapter; asked in a process of its own, since drivers are looked up once. */
async function hasAdapter(): Promise<boolean> {
  const probe = "const a = await navigator.gpu.requestAdapter(); Deno.exit(a ? 0 : 1)";
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--unstable-webgpu", probe],
    env: {
      DENO_WEBGPU_BACKEND: Deno.build.os === "linux" ? "vulkan" : "",
      XDG_RUNTIME_DIR: "/tmp",
    },
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}

async function succeeds(command: string, args: string[]): Promise<boolean> {
  try {
    const child = new Deno.Command(command, {
      args,
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdout: "null",
    });
    return (await child.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (!await hasAdapter()) {
  const command = `apt-get update && apt-get ${INSTALL.join(" ")}`;
  const mayInstall = Deno.build.os === "linux" && Deno.uid() === 0 &&
    await succeeds("apt-get", ["--version"]);
  if (!mayInstall) {
    console.error(
      "No GPU adapter found. Install your GPU's Vulkan driver, or Mesa's software one:\n" +
        `  ${Deno.build.os === "linux" ? `sudo sh -c '${command}'` : "see your vendor's page"}`,
    );
    Deno.exit(1);
  }
  console.error(
    "No GPU adapter found: installing Mesa's software Vulkan driver (slow, but correct).",
  );
  const installed = await succeeds("apt-get", ["update", "-qq"]) &&
    await succeeds("apt-get", INSTALL);
  if (!installed || !await hasAdapter()) {
    console.error(`Cannot set up a GPU adapter: this failed or did not help: ${command}`);
    Deno.exit(1);
  }
}
