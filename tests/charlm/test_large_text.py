"""A text larger than memory: what indexing it and training from the index cost.

    pytest -n 0 -m slow -s tests/charlm/test_large_text.py

takes three times the text's 4 GiB of disk for a while. LARGE_TEXT_MIB makes it smaller.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MEASURED = """
import contextlib, json, os, statistics, sys, time
from pathlib import Path
from jaxrnn.charlm import runs, supply, text_index, training_loop
from jaxrnn.charlm.background_saving import Saver
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.reading import Reader
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.tokenizers import make_tokenizer

folder, path, tokens = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
settings = Settings(
    tokens=tokens, num_layers=1, rnn_size=64, val_frac=0.0, max_steps=10**6, sample_every=0
)

def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024

def ready(name, text, vocab):
    run = runs.create(folder / name, settings, vocab, text)
    work = training_loop.start(run, text)
    with Saver(run) as saver:
        loop = training_loop._Loop(work, lambda: False, None, saver)
    return lambda: [None for _ in loop._dispatch()], loop

def divide(texts):
    return text_index.Division(make_tokenizer(tokens, texts), 0.9, 0.0)

with open(path) as file:
    start = file.read(2**25)
vocab = make_tokenizer(tokens, [start])
dispatch, _ = ready("model", Corpus(start[:200_000], ("text",)), vocab)
for _ in range(3):
    dispatch()
del start
model = memory("VmRSS")

(folder / "disk").mkdir(parents=True, exist_ok=True)
cpu, clock = time.process_time(), time.monotonic()
text, vocab = text_index.read_or_index(Reader([path]), [path], folder / "disk", divide, keep=False)
cpu, clock = time.process_time() - cpu, time.monotonic() - clock
indexing = memory("VmHWM")
from_disk, loop = ready("disk", text, vocab)
assert isinstance(text, text_index.TextIndex) and loop.supply._whole is None
span = loop.plan.streams.shape[1]
for _ in range(5):
    from_disk()
# So that training would have to read it again from the disk.
with contextlib.suppress(OSError, AttributeError), open(folder / "disk" / "text.tokens") as file:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
for _ in range(10):
    from_disk()
peak = memory("VmHWM")

with open(path) as file:
    start = Corpus(file.read(2**25), (path,))
in_memory, loop = ready("memory", start, vocab)
assert loop.supply._whole is not None
in_memory()
times = {from_disk: [], in_memory: []}
for _ in range(15):
    for run in times:
        began = time.process_time(), time.monotonic()
        run()
        times[run].append((time.process_time() - began[0], time.monotonic() - began[1]))
ratios = [
    statistics.median(b[i] / a[i] for a, b in zip(times[from_disk], times[in_memory]))
    for i in range(2)
]
print(json.dumps({
    "megabytes": text.characters / 1e6, "index_cpu_seconds": cpu, "index_seconds": clock,
    "model_mib": model, "indexing_mib": indexing, "peak_mib": peak, "span": span,
    "rate_by_cpu": ratios[0], "rate_by_clock": ratios[1],
}))
"""


def write_text(path: Path, size: int) -> None:
    """Words of a random vocabulary in lines, in blocks whose order is random."""
    generator = np.random.default_rng(0)
    words = [
        bytes(generator.integers(97, 123, generator.integers(1, 9)).tolist()) for _ in range(5000)
    ]
    blocks = []
    for _ in range(16):
        chosen = [words[index] for index in generator.zipf(1.3, 2**17) % 5000]
        blocks.append(b"\n".join(b" ".join(chosen[at : at + 12]) for at in range(0, 2**17, 12)))
    with open(path, "wb") as file:
        while file.tell() < size:
            file.write(blocks[generator.integers(16)][: size - file.tell()])


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="/proc")
@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_four_gibibytes(tmp_path, tokens):
    path = tmp_path / "text.txt"
    write_text(path, int(os.environ.get("LARGE_TEXT_MIB", "4096")) * 2**20)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", MEASURED, tmp_path / "runs", path, tokens],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        path.unlink()
        for file in (tmp_path / "runs").glob("*/text.*"):
            file.unlink()
    found = json.loads(ended.stdout)
    print("\n", found)
    assert found["peak_mib"] - found["model_mib"] < 1024
    assert found["megabytes"] / found["index_cpu_seconds"] > 50
    assert found["rate_by_cpu"] > 0.95
