"""Compares our tokenizers with PyPI `tokenizers` on random and awkward Unicode.

usage: tokenizer_oracle.py --tool PATH --data FOLDER --model GGUF [--count N] [--seed N]

Each subject is one tokenizer, built once with `tokenizers` and once read by our tool: from the published
vocabularies in FOLDER, from GGUF metadata, and from small tokenizers that are trained here. Compared are
ids with and without special tokens, several parts as one text, decoded text, and random ids. Exit status 0
means agreement; otherwise the first differences are listed.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
SPACES = " \t\n\r\f\v\x85\xa0\u1680\u180e\u2003\u2028\u202f\u200b\u3000"
WORDS = ["the", "Hello", "world", "don't", "I'LL", "we've", "naïve", "été", "Straße", "ſ", "İ", "1234567", "٣٤٥",
         "½", "Ⅷ", "日本語", "한국어", "각", "កាន់តែ", "हिन्दी", "🙂", "👩‍👩‍👧", "🇩🇪", "e\u0301\u0323", "\u0344",
         "\u212b", "!!!", "...", "->", "x_y", "\u180e", "\ufeff", "\x00", "\x7f", "▁", "▁▁", "<0x41>", "Ġ", "Ċ"]
CORPUS = ["The quick brown fox jumps over the lazy dog, don't they? ", "Zwölf Boxkämpfer jagen Viktor quer. ",
          "naïve café 1234 567 89\n", "def f(x):\n    return x + 1\n", "日本語のテキスト 한국어 텍스트\n"] * 40


def assigned(code):
    """Characters that both sides know: the oracle's NFC is older than ours and sorts new marks wrongly."""
    if unicodedata.category(chr(code)) in ("Cn", "Cs", "Co"):
        return False
    if not unicodedata.combining(chr(code)):
        return True
    around = [f"a\u0327{chr(code)}", f"a{chr(code)}\u0327", f"a\u0345{chr(code)}"]
    return all(normalizers.NFC().normalize_str(t) == unicodedata.normalize("NFC", t) for t in around)


ASSIGNED = [code for code in range(0x110000) if assigned(code)]


class Strings:
    """Random strings with a fixed seed; `specials` are texts of added tokens to scatter."""

    def __init__(self, seed, specials):
        self.random = random.Random(seed)
        self.specials = specials

    def piece(self):
        r = self.random
        kind = r.randrange(10)
        if kind < 3:
            return r.choice(WORDS)
        if kind < 5:
            return r.choice(SPACES) * r.choice((1, 1, 1, 2, 3, 7))
        if kind == 5:
            return "".join(chr(r.choice(ASSIGNED)) for _ in range(r.randrange(1, 6)))
        if kind == 6:
            return "".join(chr(r.randrange(0x20, 0x7F)) for _ in range(r.randrange(1, 12)))
        if kind == 7:
            return "".join(chr(r.choice((r.randrange(0x300, 0x370), r.randrange(0xC0, 0x250)))) for _ in range(4))
        if kind == 8 and self.specials:
            text = r.choice(self.specials)
            return text if r.random() < 0.8 else text[: r.randrange(len(text))]
        return r.choice(CORPUS)[: r.randrange(1, 30)]

    def text(self):
        return "".join(self.piece() for _ in range(self.random.randrange(0, 12)))

    def parts(self):
        return [[self.text(), False] for _ in range(self.random.randrange(1, 4))]


class Subject:
    def __init__(self, name, oracle, arguments, random_ids=True, specials=(), every_character=False):
        self.name, self.oracle, self.arguments, self.random_ids = name, oracle, arguments, random_ids
        self.every_character = every_character
        self.added = oracle.get_added_tokens_decoder()
        self.specials = [token.content for token in self.added.values()] + list(specials)

    def questions(self, count, seed):
        strings = Strings(seed, self.specials)
        fixed = ["", " ", "a", "\n", " " * 100, "a" * 300, "1" * 50, "\u0301" * 70, "🙂" * 60, "x " * 50]
        for text in fixed + WORDS + [strings.text() for _ in range(count)]:
            for parse in (False, True):
                yield {"text": text, "parse_special": parse, "add_special": parse and len(text) % 2 == 0}
        for _ in range(count // 4):
            parse = strings.random.random() < 0.5
            parts = [[text, parse] for text, _ in strings.parts()]
            yield {"parts": parts, "parse_special": parse, "text": "".join(text for text, _ in parts)}
        for start in range(0, len(ASSIGNED) if self.every_character else 0, 200):
            yield {"text": "".join(map(chr, ASSIGNED[start:start + 200]))}
            yield {"text": "".join("a" + chr(code) + "\u0327 1" for code in ASSIGNED[start:start + 200])}
        plain = Strings(seed + 1, [])
        for _ in range(count // 4):
            # Parts of both kinds around texts without special tokens are one text.
            parts = [[text, plain.random.random() < 0.5] for text, _ in plain.parts()]
            yield {"parts": parts, "text": "".join(text for text, _ in parts)}
        if self.random_ids:
            ids = range(self.oracle.get_vocab_size())
            for _ in range(count // 4):
                picked = [strings.random.choice(ids) for _ in range(strings.random.randrange(8))]
                yield {"decode": picked, "skip_special": strings.random.random() < 0.5}

    def expected(self, question):
        if "decode" in question:
            ids = question["decode"]
        else:
            self.oracle.encode_special_tokens = not question.get("parse_special", False)
            ids = self.oracle.encode(question["text"], add_special_tokens=question.get("add_special", False)).ids
        return {"ids": ids, "decoded": self.oracle.decode(ids, skip_special_tokens=question.get("skip_special", False))}


def byte_level(vocab, merges, regex=None, nfc=False, digits=False, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if regex:
        steps.append(pre_tokenizers.Split(Regex(regex), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex is None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def read_merges(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")
    if lines[0].startswith("#version"):
        lines = lines[1:]
    return [tuple(line.split(" ")) for line in lines if line]


def published(data):
    """The vocabularies of the data folder."""
    folder = os.path.join(data, "tokenizers", "qwen2")
    if os.path.isdir(folder):
        vocab = json.load(open(os.path.join(folder, "vocab.json"), encoding="utf-8"))
        tokenizer = byte_level(vocab, read_merges(os.path.join(folder, "merges.txt")), QWEN2, nfc=True)
        added = json.load(open(os.path.join(folder, "added_tokens.json"), encoding="utf-8"))
        tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True)
                                      for text in sorted(added, key=added.get)])
        yield Subject("qwen2", tokenizer, [folder, "--family", "qwen2"], every_character=True)
    folder = os.path.join(data, "tokenizers", "llama3")
    if os.path.isdir(folder):
        vocab = json.load(open(os.path.join(folder, "encoder.json"), encoding="utf-8"))
        merges = read_merges(os.path.join(folder, "vocab.bpe"))
        yield Subject("llama3", byte_level(vocab, merges, LLAMA3, ignore_merges=True), [folder, "--family", "llama"], every_character=True)


def gguf_subject(path):
    import gguf

    fields = gguf.GGUFReader(path).fields

    def read(key, fallback=None):
        field = fields.get("tokenizer.ggml." + key)
        return fallback if field is None else field.contents()

    texts, types = read("tokens"), read("token_type")
    vocab = {text: i for i, text in enumerate(texts)}
    rules = {"smollm": dict(digits=True), "gpt-2": {}, "qwen2": dict(regex=QWEN2, nfc=True)}[read("pre")]
    tokenizer = byte_level(vocab, [tuple(m.split(" ")) for m in read("merges")], **rules)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True)
                                  for t, kind in zip(texts, types) if kind in (2, 3)])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, kind in zip(texts, types) if kind == 4])
    return Subject("gguf " + os.path.basename(path), tokenizer, [path], every_character=True)


def score_subject(path):
    """SentencePiece BPE: every way to form a token is a merge, ranked by the token's score."""
    with open(path, "rb") as file:
        fields = read_gguf1(file.read())
    return score_oracle(path, fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"])


def read_gguf1(data):
    """Metadata of version 1 of the format, which the package does not read: all counts have 32 bits."""
    at = 16
    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def take(form):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)[0]
        at += struct.calcsize("<" + form)
        return value

    def value(kind):
        nonlocal at
        if kind == 8:
            size = take("I")
            at += size
            return data[at - size:at].decode()
        if kind == 9:
            kind, count = take("I"), take("I")
            return [value(kind) for _ in range(count)]
        return take(scalars[kind])

    magic, version, _, count = struct.unpack_from("<4sIII", data)
    assert magic == b"GGUF" and version == 1, (magic, version)
    return {value(8): value(take("I")) for _ in range(count)}


def score_oracle(path, texts, scores):
    vocab = {text: i for i, text in enumerate(texts)}
    plain = set(texts[3:]) - {f"<0x{byte:02X}>" for byte in range(256)}
    merges = [(scores[vocab[text]], vocab[text], text[:i], text[i:]) for text in plain for i in range(1, len(text))
              if text[:i] in plain and text[i:] in plain]
    merges.sort(key=lambda merge: (-merge[0], merge[1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[(a, b) for _, _, a, b in merges], unk_token=texts[0],
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in texts[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(single=[texts[1], "$A"], special_tokens=[(texts[1], 1)])
    return Subject("scores " + os.path.basename(path), tokenizer, [path], random_ids=False)


def write_gguf(path, texts, scores, types):
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def trained_scores(folder):
    """A GGUF whose scores are the order of a BPE trained here."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=600, show_progress=False))
    learned = [text for text, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + learned
    types = [2, 3, 3] + [6] * 256 + [1] * len(learned)
    scores = [0.0] * 259 + [-float(i) for i in range(len(learned))]
    path = os.path.join(folder, "scores.gguf")
    write_gguf(path, texts, scores, types)
    return score_oracle(path, texts, scores)


def save(folder, name, tokenizer, **options):
    path = os.path.join(folder, name + ".json")
    tokenizer.save(path)
    # Reading the file back makes the oracle what the file says.
    return Subject(name, Tokenizer.from_file(path), [path], **options)


def gemma_like(folder):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=900, show_progress=False, max_token_length=12,
                                    special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)]))
    # The bytes are special to the trainer only.
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:4]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<start_of_turn>", normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return save(folder, "gemma-like", tokenizer, random_ids=False)


def unknown_tokens(folder, fuse):
    """Without byte fallback unknown characters are one token each, or fused."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(CORPUS[:3], trainers.BpeTrainer(
        vocab_size=200, show_progress=False, special_tokens=["<unk>"], limit_alphabet=30))
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return save(folder, f"unknown-fuse-{fuse}", tokenizer)


def trained_byte_level(pre_tokenizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=600, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def flagged(folder):
    """Added tokens with every kind of flag."""
    tokenizer = trained_byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("ß", "ss")])
    tokenizer.add_special_tokens([AddedToken("<s>", normalized=False, special=True),
                                  AddedToken("<mask>", lstrip=True, normalized=False, special=True),
                                  AddedToken("<éß>", normalized=True, special=True),
                                  AddedToken("<s><s>", rstrip=True, normalized=False, special=True)])
    tokenizer.add_tokens([AddedToken("word", single_word=True, normalized=False),
                          AddedToken("Stra\u00dfe", normalized=True), AddedToken("e\u0301te", normalized=True),
                          AddedToken("né", single_word=True, normalized=True),
                          AddedToken("<think>", rstrip=True, lstrip=True, normalized=False),
                          AddedToken("a b", normalized=False), AddedToken("\n\n", normalized=False),
                          AddedToken("s>x", normalized=False)])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<s> $A <mask>", special_tokens=[
            ("<s>", tokenizer.token_to_id("<s>")), ("<mask>", tokenizer.token_to_id("<mask>"))])])
    glue = ["wordy", "_word", "word.", " word ", "\u0301word", "Ⓐword", "  <mask> ", "<s><s> \n<think>", "Strasse",
            "<e\u0301ss>", "éte", "\u2003<think>\u3000", "<s>x", "<s<s>>"]
    return save(folder, "flags", tokenizer, specials=glue, every_character=True)


def splitters(folder):
    """One tokenizer for each way to split."""
    behaviours = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]
    byte_pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for behaviour in behaviours:
        for invert in (False, True):
            for kind, pattern in (("regex", Regex(r"\s+|[^\S\n]|\w*\d|(?=x)")), ("text", "a")):
                split = pre_tokenizers.Split(pattern, behaviour, invert)
                tokenizer = trained_byte_level(pre_tokenizers.Sequence([split, byte_pieces]))
                yield save(folder, f"split-{behaviour}-{kind}-{'inverted' if invert else 'plain'}", tokenizer)
    for i, pattern in enumerate((r"\w", r"\W+", r"\d+", r"\D", r"\s", r"\S", r"[^\s\w]", r"[\S\n]", r"\p{L}\p{M}*",
                                 r"\p{N}", r"\p{Han}+", r"[\p{^Lu}-]", r"(?i:k|s|\u00e5)", r"^.|$", r"\p{P}{2,}",
                                 r"\v|\t", r"x{,2}y|a{2}", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]+|a++")):
        split = pre_tokenizers.Split(Regex(pattern), "removed")
        tokenizer = trained_byte_level(pre_tokenizers.Sequence([split, byte_pieces]))
        yield save(folder, f"class-{i} {pattern}".replace("/", ""), tokenizer, every_character=True)
    for individual in (False, True):
        steps = [pre_tokenizers.Digits(individual), pre_tokenizers.ByteLevel(add_prefix_space=True)]
        yield save(folder, f"digits-{individual}", trained_byte_level(pre_tokenizers.Sequence(steps)))
    for scheme in ("always", "first", "never"):
        for split in (False, True):
            tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
            tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
            tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
                vocab_size=400, show_progress=False, special_tokens=["<unk>", "<s>"], max_token_length=9))
            yield save(folder, f"metaspace-{scheme}-{split}", tokenizer)
    tokenizer = trained_byte_level(byte_pieces)
    tokenizer.decoder = None
    yield save(folder, "no-decoder", tokenizer)


def subjects(arguments, folder):
    yield from published(arguments.data)
    if arguments.model and os.path.exists(arguments.model):
        yield gguf_subject(arguments.model)
    path = os.path.join(arguments.data, "models", "tinyllamas-stories-260k-f32.gguf")
    if os.path.exists(path):
        yield score_subject(path)
    yield trained_scores(folder)
    yield gemma_like(folder)
    yield flagged(folder)
    yield unknown_tokens(folder, False)
    yield unknown_tokens(folder, True)
    yield from splitters(folder)


def compare(tool, subject, count, seed):
    questions = list(subject.questions(count, seed))
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    run = subprocess.run([tool] + subject.arguments, input=lines, capture_output=True, text=True, encoding="utf-8")
    if run.returncode != 0:
        return 0, [f"the tool failed: {run.stderr.strip()}"]
    answers = [json.loads(line) for line in run.stdout.split("\n") if line]
    if len(answers) != len(questions):
        return 0, [f"{len(answers)} answers to {len(questions)} questions"]
    differences = []
    for question, found in zip(questions, answers):
        expected = subject.expected(question)
        if found != expected:
            differences.append(f"question {json.dumps(question)}\n    expected {json.dumps(expected)}\n"
                               f"    found    {json.dumps(found)}")
    return len(questions), differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--count", type=int, default=1000, help="random strings for each subject")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="subjects whose name holds this text")
    arguments = parser.parse_args()
    total, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for subject in subjects(arguments, folder):
            if arguments.only not in subject.name:
                continue
            compared, differences = compare(arguments.tool, subject, arguments.count, arguments.seed)
            total += compared
            failed += len(differences)
            print(f"{subject.name}: {compared} compared, {len(differences)} differ")
            for difference in differences[:5]:
                print("  " + difference)
    print(f"{total} strings compared, {failed} differ, seed {arguments.seed}")
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
