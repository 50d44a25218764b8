import { assertEquals, assertThrows } from "@std/assert";
import { Checkpoint } from "../../models/checkpoint.ts";
import { inDirectory, type TensorData, writeSafetensors } from "../support/write_safetensors.ts";

const tensor = (...values: number[]): TensorData => ({
  dtype: "F32",
  shape: [values.length],
  values,
});
const shard = (i: number) => `model-0000${i}-of-00002.safetensors`;

function values(checkpoint: Checkpoint, name: string): number[] | null {
  const tensor = checkpoint.find(name);
  if (!tensor) return null;
  const floats = new Float32Array(tensor.bytes / 4);
  tensor.read(0, new Uint8Array(floats.buffer));
  return [...floats];
}

function writeShards(
  directory: string,
  shards: readonly Record<string, TensorData>[],
  map: unknown,
): void {
  shards.forEach((tensors, i) => writeSafetensors(`${directory}/${shard(i + 1)}`, tensors));
  const index = JSON.stringify({ metadata: {}, weight_map: map });
  Deno.writeTextFileSync(`${directory}/model.safetensors.index.json`, index);
}

Deno.test("Checkpoint finds every tensor in whichever shard holds it", () =>
  inDirectory((directory) => {
    const shards = [{ a: tensor(1, 2) }, { b: tensor(3), c: tensor(4, 5) }];
    writeShards(directory, shards, { a: shard(1), b: shard(2), c: shard(2) });
    using checkpoint = Checkpoint.open(directory);
    assertEquals([...checkpoint.names].sort(), ["a", "b", "c"]);
    assertEquals(["a", "b", "c", "d"].map((name) => values(checkpoint, name)), [
      [1, 2],
      [3],
      [4, 5],
      null,
    ]);
  }));

Deno.test("Checkpoint reads the single file of a directory that has shards as well", () =>
  inDirectory((directory) => {
    writeShards(directory, [{ a: tensor(1) }], { a: shard(1) });
    writeSafetensors(`${directory}/model.safetensors`, { a: tensor(2) });
    using checkpoint = Checkpoint.open(directory);
    assertEquals(values(checkpoint, "a"), [2]);
  }));

Deno.test("Checkpoint finds the tensors of a model saved without its head under their full names", () =>
  inDirectory((directory) => {
    const path = `${directory}/model.safetensors`;
    const body = {
      "embed_tokens.weight": tensor(1),
      "layers.0.mlp.up_proj.weight": tensor(2),
      "norm.weight": tensor(3),
    };
    writeSafetensors(path, { ...body, "lm_head.weight": tensor(4) });
    {
      using checkpoint = Checkpoint.open(directory);
      assertEquals(values(checkpoint, "model.layers.0.mlp.up_proj.weight"), [2]);
      assertEquals(values(checkpoint, "lm_head.weight"), [4]);
      assertEquals(checkpoint.find("layers.0.mlp.up_proj.weight"), null);
    }
    // With both spellings in one checkpoint nobody can tell which is meant: nothing is renamed.
    writeSafetensors(path, { ...body, "model.norm.weight": tensor(5) });
    using checkpoint = Checkpoint.open(directory);
    assertEquals(values(checkpoint, "model.norm.weight"), [5]);
    assertEquals(checkpoint.find("model.embed_tokens.weight"), null);
  }));

Deno.test("Checkpoint.open() names what an index promises and the files do not hold", () =>
  inDirectory((directory) => {
    const refused = (map: unknown, word: string, error = TypeError) => {
      writeShards(directory, [{ a: tensor(1) }, { a: tensor(2) }], map);
      assertThrows(() => Checkpoint.open(directory), error, word);
    };
    assertThrows(() => Checkpoint.open(directory), TypeError, `${directory}/model.safetensors`);
    refused({ a: "gone.safetensors" }, "gone.safetensors");
    refused({ a: shard(1), b: shard(1) }, "received no tensor b");
    refused({ a: shard(1), b: shard(2) }, "received no tensor b");
    refused({ a: "../other/model.safetensors" }, "model.safetensors.index.json");
    refused(null, "weight_map");
    Deno.writeTextFileSync(`${directory}/model.safetensors.index.json`, "{");
    assertThrows(() => Checkpoint.open(directory), SyntaxError, "index.json is not JSON");
  }));

Deno.test("Checkpoint.open() refuses a tensor that two shards hold", () =>
  inDirectory((directory) => {
    const shards = [{ a: tensor(1) }, { a: tensor(2), b: tensor(3) }];
    writeShards(directory, shards, { a: shard(1), b: shard(2) });
    assertThrows(
      () => Checkpoint.open(directory),
      TypeError,
      "must not both have a tensor, received a",
    );
  }));
