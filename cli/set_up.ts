// Makes a bare machine ready, before serve and test: Deno installs the npm packages by itself, so what is left is
// a Vulkan driver.

const INSTALL = ["install", "-y", "--no-install-recommends", "libvulkan1", "mesa-vulkan-drivers"];
const COMMAND = `apt-get update && apt-get ${INSTALL.join(" ")}`;

/** True where WebGPU finds an adapter; asked in a Worker of its own, since a thread looks drivers up once. */
async function hasAdapter(): Promise<boolean> {
  const worker = new Worker(new URL("./find_adapter.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data === true);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`Cannot look for a GPU: ${event.message}`));
      };
    });
  } finally {
    worker.terminate();
  }
}

/** Runs apt-get; its output goes to the operator only where it failed. */
async function aptGet(...args: string[]): Promise<boolean> {
  try {
    const { success, stderr } = await new Deno.Command("apt-get", {
      args,
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
    }).output();
    if (!success) await Deno.stderr.write(stderr);
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function setUp(): Promise<boolean> {
  if (await hasAdapter()) return true;
  if (Deno.build.os !== "linux") {
    console.error("No GPU adapter found: install your GPU's driver.");
    return false;
  }
  if (Deno.uid() !== 0 || !await aptGet("--version")) {
    console.error(
      "No GPU adapter found: install your GPU's Vulkan driver, or Mesa's software one (slow, but correct).\n" +
        `On Debian and Ubuntu:  sudo sh -c '${COMMAND}'`,
    );
    return false;
  }
  console.error("No GPU adapter found: installing the Vulkan loader and Mesa's software driver.");
  if (await aptGet("update", "-qq") && await aptGet(...INSTALL) && await hasAdapter()) return true;
  console.error(`Cannot set up a GPU adapter: this failed or did not help: ${COMMAND}`);
  return false;
}

if (!await setUp()) Deno.exit(1);
