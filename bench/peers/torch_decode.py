"""The matrix products of a decode step alone, without attention, norms or adapters, as one CUDA graph: about as fast as
PyTorch's libraries can read the weights."""

import argparse

import torch

from random_llama import SHAPES, device, dtype, median, result


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--shape", default="8b")
    flags.add_argument("--batches", default="1,2,4,8,16,32,64,128")
    flags.add_argument("--runs", type=int, default=9)
    options = flags.parse_args()
    shape = SHAPES[options.shape]
    hidden, middle = shape["hidden_size"], shape["intermediate_size"]
    heads = shape["num_attention_heads"] * shape["head_dim"]
    kv = shape["num_key_value_heads"] * shape["head_dim"]

    def weight(out, size):
        return torch.empty(out, size, device=device(), dtype=dtype()).uniform_(-0.02, 0.02)

    layers = [(weight(heads + 2 * kv, hidden), weight(hidden, heads), weight(2 * middle, hidden),
               weight(hidden, middle)) for _ in range(shape["num_hidden_layers"])]
    head = weight(shape["vocab_size"], hidden)
    steps = []
    for batch in [int(batch) for batch in options.batches.split(",")]:
        x = weight(batch, hidden)
        attention = weight(batch, heads)
        gated = weight(batch, middle)

        def products():
            for qkv, o, gate_up, down in layers:
                torch.nn.functional.linear(x, qkv)
                torch.nn.functional.linear(attention, o)
                torch.nn.functional.linear(x, gate_up)
                torch.nn.functional.linear(gated, down)
            return torch.nn.functional.linear(x, head)

        with torch.inference_mode():
            products()
            run = products
            if torch.cuda.is_available():
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    products()
                run = graph.replay
            for _ in range(3):
                run()
            steps.append(dict(batch=batch, ms=median(run, options.runs) * 1e3))
    result(steps=steps, graph=torch.cuda.is_available())


main()
