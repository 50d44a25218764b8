// The benches at their smallest, so that they cannot rot: each makes what it needs, ends well and prints its table.
import { assert, assertEquals, assertMatch } from "@std/assert";

async function bench(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "bench/main.ts", ...args],
    cwd: new URL("../../", import.meta.url),
    env: {
      XDG_RUNTIME_DIR: "/tmp",
      CHORUS_GPU: Deno.env.get("CHORUS_GPU") ?? "builtin",
      CHORUS_BENCH_SIZE: "small",
    },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Numbers of the line that begins with `name`. */
function numbersAfter(text: string, name: RegExp): number[] {
  const line = text.split("\n").find((line) => name.test(line)) ?? "";
  return line.replace(name, "").trim().split(/[^\d.e+-]+/).filter((word) => word !== "").map(
    Number,
  );
}

Deno.test("bench --help lists every bench, and an unknown name is an error", async () => {
  const text = await bench("--help");
  for (
    const name of [
      ...["kernels", "tilings", "step", "serve", "http", "peers", "prefix", "cold", "simulate"],
    ]
  ) {
    assertMatch(text, new RegExp(`^${name} `, "m"));
  }
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "bench/main.ts", "no-such-bench"],
    cwd: new URL("../../", import.meta.url),
    stdout: "null",
  }).output();
  assertEquals(code, 2);
});

Deno.test("bench kernels times each kernel of a step and finds it correct", async () => {
  const text = await bench("kernels");
  for (
    const [kernel, what] of [
      ...["qkv", "o", "gate_up", "down"].map((matrix) => ["linear_\\w+", matrix]),
      ["attention_decode", "context_64"],
      ["attention_prefill\\w*", "prompt"],
      ["rope_kv", "heads"],
      ["residual_norm", "hidden"],
      ["swiglu", "mlp"],
      ["sample", "vocabulary"],
    ]
  ) {
    const numbers = numbersAfter(text, new RegExp(`^${kernel} [\\d ]+ ${what} `));
    const [rows = 0, us = 0] = numbers;
    const error = numbers.at(-1) ?? NaN;
    assert(rows >= 1 && us > 0, text);
    assert(error < 5e-3, `${kernel} ${what} is off by ${error}`);
  }
});

Deno.test("bench serve makes a model and adapters, serves them and measures over their number", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const [out, plot] = [`${directory}/out.json`, `${directory}/out.svg`];
    const files = ["--out", out, "--plot", plot];
    const text = await bench(
      "serve",
      "--shape",
      "tiny",
      "--adapters-counts",
      "1,2",
      "--seconds",
      "1",
      ...files,
    );
    assertMatch(text, /^ +2 +2 +4\.00 /m);
    const { rows } = JSON.parse(await Deno.readTextFile(out));
    for (const { requests, completed, attainment, firstToken, steps } of rows) {
      assertMatch(steps, /^[1-9]\d* steps of \d+\.\d ms \(encode/);
      assertEquals(completed, requests);
      assert(attainment > 0 && firstToken.p99 > 0);
    }
    assertMatch(
      await Deno.readTextFile(plot),
      /^<svg xmlns[^]+Requests a second[^]+<path[^]+<\/svg>$/m,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("bench cold times first tokens of adapters not seen before beside streams of one that is resident", async () => {
  const text = await bench("cold", "--shape", "tiny", "--adapters", "2");
  for (const kind of ["warm", "cold"]) {
    assert((numbersAfter(text, new RegExp(`^first token, ${kind} `))[0] ?? 0) > 0, text);
  }
  assertMatch(text, /^first token, cold over that bound: [\d.]+; streams' p99 gap, .*: [\d.]+$/m);
});

Deno.test("bench http drives the real front with an engine that answers at once", async () => {
  const text = await bench("http", "--streams", "8", "--seconds", "0.5", "--output-tokens", "16");
  const [, , tokensPerSecond = 0] = numbersAfter(text, /^(?=8 streams)/);
  assert(tokensPerSecond > 0, text);
  assertMatch(text, /^front's loop ms +p50/m);
  assertMatch(text, /^load generator/m);
});

Deno.test("bench step runs whole steps, and bench peers prints ours alone where Python has no PyTorch", async () => {
  const text = await bench("peers", "--python", "/no/such/python", "--only", "decode,mixed");
  for (
    const name of [
      /^base +1 /,
      /^distinct r=16 on q,k,v,o/,
      /^distinct r=8-64/,
      /^ +64 /,
      /^embed /,
    ]
  ) assert((numbersAfter(text, name)[0] ?? 0) > 0, text);
  assertMatch(text, /^\/no\/such\/python has no torch.*ours only$/m);
  assertMatch(text, /^ +1 +[\d.]+ +- +-$/m);
  // Peers are asked for, and compared with, what the step bench timed.
  const [batch, timed] = numbersAfter(text, /^distinct r=16 on q,k,v,o +(?=\d+ +[\d.]+ +[\d.]+$)/);
  assertMatch(text, /^adapters, B=4 /m);
  const [ours] = numbersAfter(text, /^distinct r=16 on q,k,v,o +(?=[\d.]+ +- +-$)/);
  assertEquals([batch, ours], [4, timed]);
});

Deno.test("bench step says by how much int8 moves the logits, which is little and not nothing", async () => {
  const text = await bench("step", "--dtype", "int8", "--batches", "1");
  const [error = NaN] = numbersAfter(text, /^logits, \|\|int8 - f16\|\| \/ \|\|f16\|\|:/);
  assert(error > 1e-4 && error < 5e-2, text);
});

Deno.test("bench prefix finds the context again, and computes only what follows it", async () => {
  const text = await bench("prefix", "--rounds", "1", "--contexts", "192");
  const [hit, cold = 0, warm = 0, predicted = 0, ...computed] = numbersAfter(text, /^192\t/);
  assert(cold > 0 && warm > 0 && predicted > 0, text);
  // 192 are whole blocks; the 24 tokens of the question after them nobody had computed.
  assertEquals([hit, ...computed], [192, 216, 24], text);
});

Deno.test("bench simulate prints its tables beside the paper's", async () => {
  const text = await bench(
    "simulate",
    "--seconds",
    "10",
    "--tables",
    "rate,table3,policies,cluster,vtc",
  );
  for (const [name, paper] of [["S2 A10G R=1", 0.961], ["S4 A100-80 R=8", 4.02]] as const) {
    const [throughput = 0, , attained = 0, beside] = numbersAfter(text, new RegExp(`^${name} `));
    assert(throughput > 0 && attained > 0 && beside === paper, text);
  }
  const [ours = 0, paper] = numbersAfter(text, /^S4 A100-80 n=2 /);
  assert(ours > 0 && paper === 4.491, text);
  for (const policy of ["fcfs", "vtc,abort", "cluster,abort", "priority", "its first class"]) {
    assert((numbersAfter(text, new RegExp(`^${policy} `))[0] ?? 0) > 0, text);
  }
  const [served = 0, attained = 0, uploads = 0, ...beside] = numbersAfter(text, /^d=8 /);
  assert(served > 0 && attained > 0 && uploads > 0, text);
  assertEquals(beside, [1.25, 0.487]);
  const tenants = text.slice(text.indexOf("two tenants"));
  for (const [policy, paper] of [["fcfs", 259_096], ["vtc", 1052]] as const) {
    const [gap = NaN, beside, rate = 0] = numbersAfter(tenants, new RegExp(`^${policy} `));
    assert(gap > 0 && beside === paper && rate > 0, text);
  }
});
