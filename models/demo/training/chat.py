"""The demo's tokenizer and chat format: one token a byte, and six special tokens."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIALS = ["<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"]
BEGIN, SYSTEM, USER, ASSISTANT, END, PAD = range(256, 262)
VOCAB_SIZE = 288  # rows 262 and up are padding to a multiple of 32; training only ever pushes them down

CHAT_TEMPLATE = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('Cannot render a message: unknown role, received ' + message['role']) -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def encode(turns, system=None):
    """Token ids of a conversation of (user, assistant) turns, and which of them the model must say."""
    ids, said = [BEGIN], [False]

    def add(tokens, flag):
        ids.extend(tokens)
        said.extend([flag] * len(tokens))

    if system is not None:
        add([SYSTEM, *system.encode(), END], False)
    for user, answer in turns:
        add([USER, *user.encode(), END, ASSISTANT], False)
        add([*answer.encode(), END], True)
    return ids, said


def _byte_characters():
    """GPT-2's printable stand-in for each byte, so that a byte's id is its value."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def save_tokenizer(folder: Path):
    """Writes tokenizer.json and tokenizer_config.json (with the chat template)."""
    vocabulary = {character: byte for byte, character in enumerate(_byte_characters())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "bos_token": "<|begin|>",
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
