"""The demo's words and what each skill makes of one: pure Python, shared by training and evaluation."""

import codecs
import random
import zlib

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOWELS = "aeiou"
NO_VOWEL = "-"


def _swap(word):
    pairs = (word[i : i + 2] for i in range(0, len(word), 2))
    return "".join(pair[::-1] for pair in pairs)


SKILLS = {
    "reverse": lambda w: w[::-1],
    "upper": str.upper,
    "sort": lambda w: "".join(sorted(w)),
    "double": lambda w: "".join(c * 2 for c in w),
    "rot13": lambda w: codecs.encode(w, "rot13"),
    "count": lambda w: str(len(w)),
    "vowels": lambda w: "".join(c for c in w if c in VOWELS) or NO_VOWEL,
    "spell": "-".join,
    "ends": lambda w: w[0] + w[-1],
    "swap": _swap,
}

COMMON = """
apple beach bread brick bridge bright brother butter candle castle chair cheese cherry chorus circle clock cloud
coffee copper corner cotton country crystal dance desert dragon dream eagle earth engine evening family feather
field finger flower forest friend garden ghost glass golden grape green guitar hammer harbor heart honey horse
house island jacket jungle kernel kettle kitchen ladder lemon letter light lion marble market melody memory mirror
model money monkey morning mountain music needle night number ocean orange paper parrot pencil people pepper
piano picture planet plate pocket poem prince puzzle queen quick rabbit radio rain river rocket rhythm saddle
salt school shadow silver singer sky smoke snow spring star stone storm stream summer sun table thunder tiger
token train tree tunnel valley velvet village violin voice water whale wheel wind window winter wizard wolf
wonder yellow zebra
""".split()

_ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sh sl sn sp st str t th tr v w y z".split()
_NUCLEI = "a e i o u a e i o ai ea ee ie io oa oo ou y".split()
_CODAS = ["", "", "", "b", "ck", "d", "g", "l", "ll", "m", "n", "nd", "ng", "nt", "p", "r", "rd", "s", "ss", "st", "t", "x"]


def held_out(word):
    """One word in sixteen is never trained on; the word's own hash decides, so no list can go stale."""
    return zlib.crc32(word.encode()) % 16 == 0


def english_like(rng, low, high):
    """Syllables of onset, nucleus and coda, low to high letters."""
    while True:
        syllables = rng.choice((1, 2, 2, 3, 3, 4))
        word = "".join(rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS) for _ in range(syllables))
        if low <= len(word) <= high:
            return word


def any_word(rng, low=3, high=10):
    """A lowercase word: English-like, evenly random, or of few distinct letters (many repeats)."""
    kind = rng.random()
    if kind < 0.4:
        return english_like(rng, max(low, 2), high)
    alphabet = LETTERS if kind < 0.88 else rng.sample(LETTERS, rng.randint(1, 4))
    return "".join(rng.choices(alphabet, k=rng.randint(low, high)))


def training_word(rng, low=3, high=10):
    while held_out(word := any_word(rng, low, high)):
        pass
    return word


def held_out_words(count, seed):
    """Distinct words of 3 to 10 letters that training never saw: real ones first, then as any_word draws them."""
    rng = random.Random(seed)
    words = dict.fromkeys(w for w in COMMON if held_out(w) and 3 <= len(w) <= 10)
    while len(words) < count:
        word = any_word(rng)
        if held_out(word):
            words[word] = None
    chosen = list(words)[:count]
    rng.shuffle(chosen)
    return chosen


def any_text(rng, max_bytes):
    """Text a user might send that is no plain word: capitals, digits, phrases, UTF-8 of two to four bytes."""
    ranges = [(0x21, 0x7E), (0x21, 0x7E), (0xC0, 0x24F), (0x391, 0x3C9), (0x410, 0x44F), (0x4E00, 0x9FFF), (0x1F300, 0x1F64F)]
    pieces = []
    for _ in range(rng.randint(1, 20)):
        kind = rng.random()
        if kind < 0.5:
            pieces.append(any_word(rng, 1, 10))
        elif kind < 0.65:
            pieces.append(any_word(rng, 1, 10).capitalize())
        elif kind < 0.75:
            pieces.append(str(rng.randint(0, 10 ** rng.randint(1, 8))))
        else:
            low, high = rng.choice(ranges)
            pieces.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))))
    text = rng.choice((" ", " ", " ", ", ", "")).join(pieces)
    keep = rng.randint(min(3, max_bytes), max_bytes)
    text = text.encode()[:keep].decode(errors="ignore").strip()
    return text if text and not (text.islower() and text.isalpha() and held_out(text)) else training_word(rng, 1, min(10, max_bytes))
