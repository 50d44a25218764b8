"""A Llama of random weights in the shape that the other benches use, and what timing it needs."""

import json
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
               num_attention_heads=32, num_key_value_heads=8, head_dim=128, vocab_size=128256),
    "tiny": dict(hidden_size=256, intermediate_size=896, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, head_dim=64, vocab_size=1024),
}


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype():
    return torch.float16 if torch.cuda.is_available() else torch.float32


def random_llama(shape):
    """The model on the device, without end token: it generates as long as it is asked to."""
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=8192, rope_theta=500000.0,
                         tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
                         pad_token_id=0)
    torch.set_default_dtype(dtype())
    with torch.device(device()):
        model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval()


def random_adapters(model, count, ranks, modules):
    """A PEFT model with adapters a0, a1, ... of random A and B, all in the card's memory."""
    from peft import LoraConfig, get_peft_model

    def config(i):
        return LoraConfig(r=ranks[i % len(ranks)], lora_alpha=16, init_lora_weights=False,
                          target_modules=[f"{module}_proj" for module in modules])

    peft = get_peft_model(model, config(0), adapter_name="a0")
    for i in range(1, count):
        peft.add_adapter(f"a{i}", config(i))
    # PEFT makes adapters in f32 where a card computes in f16.
    for name, parameter in peft.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype())
    return peft.eval()


def seconds(run):
    """Wall time of run() until the card has done it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def median(run, runs):
    return sorted(seconds(run) for _ in range(runs))[runs // 2]


def result(**values):
    """The last line of a script: what bench/peers.ts reads."""
    print("RESULT " + json.dumps(values), flush=True)
