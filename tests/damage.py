"""Damages a run: as a disk does, as a person does, and as somebody who means harm does.

A damage is chosen by a number, so that it can be looked at again: `damage(folder, …, number)`.
"""

import hashlib
import json
import os
import random
import shutil
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from jaxrnn.charlm import strict_json
from jaxrnn.charlm.settings import ADJUSTABLE

WRONG = [
    None,
    True,
    [],
    {},
    [1, 2],
    "x",
    "",
    "../../outside",
    "a\0b",
    "\ud800",
    -1,
    0,
    3,
    2.5,
    1e308,
    10**30,
    2**31,
    2**20,
    10**12,
    [[[[[]]]]],
]
SOURCES = ["/dev/zero", "/dev/stdin", "/", "/none", "a\0b", "x" * 5000, "FIFO", "\udcff"]


@dataclass
class Damage:
    """What was done to a run.

    Attributes:
        what: in words.
        another_model: whether the run now says, in agreement with itself, that it is another.
        files: those that were damaged.
        poisoned: whether a parameter of theirs is not finite.
    """

    what: str
    another_model: bool = False
    files: list[str] = field(default_factory=list)
    poisoned: bool = False


def damage(
    folder: Path, likely: list[str], others: list[Path], outside: Path, number: int
) -> Damage:
    """Damages the run in a folder.

    Args:
        folder: of the run, a copy that nobody needs.
        likely: its files that are damaged most often.
        others: other runs, whose files may come in.
        outside: a folder that no command may touch.
        number: which damage.
    """
    dice = random.Random(number)
    acts = [flip, flip, flip, cut, overwrite, remove, swap, special, hostile_json, hostile_json]
    acts += [hostile_json, hostile_arrays, other_arrays, other_arrays, strays, sources]
    act = dice.choice(acts)
    sealed = dice.random() < 1 / 3
    done = act(Run(folder, likely, others, outside, dice, sealed))
    done.what = f"{number}: {act.__name__}{', sealed again' if sealed else ''}: {done.what}"
    return done


class Run:
    """The run to damage, and what else a damage needs."""

    def __init__(self, folder, likely, others, outside, dice, sealed):
        self.folder, self.likely = folder, [folder / name for name in likely]
        self.others, self.outside = others, outside
        self.dice, self.sealed = dice, sealed
        self.files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.checkpoints = folder / "checkpoints"

    def any(self, *endings):
        """One of the files."""
        fitting = [path for path in self.files if path.suffix in (endings or ENDINGS)]
        likely = [path for path in fitting if path in self.likely]
        return self.dice.choice(likely if likely and self.dice.random() < 0.8 else fitting)

    def name(self, path):
        return str(path.relative_to(self.folder))

    def changed(self, path, data, what, another_model=False):
        """Writes a file, and all checksums anew where this run is to agree with itself."""
        path.write_bytes(data)
        if self.sealed:
            another_model |= path.suffix == ".safetensors"
            self.seal(path)
        return Damage(
            f"{self.name(path)}: {what}", another_model and self.sealed, [self.name(path)]
        )

    def seal(self, path):
        if path.suffix == ".json":
            _seal(path)
        for manifest in self.checkpoints.glob("*.json") if path.suffix == ".safetensors" else ():
            content = json.loads(manifest.read_text())
            if content["arrays"]["file"] == path.name:
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                content["arrays"].update(size=len(data), sha256=digest)
                manifest.write_text(json.dumps(content))
                _seal(manifest)

    def adopt_config(self):
        """Lets the checkpoints say that they are of what config.json has."""
        content = json.loads((self.folder / "config.json").read_text())
        settings = {k: v for k, v in content["settings"].items() if k not in ADJUSTABLE}
        identity = {
            "settings": settings,
            "vocabulary": content["vocabulary"],
            "text": content["text"]["sha256"],
        }
        for manifest in self.checkpoints.glob("*.json"):
            said = json.loads(manifest.read_text())
            said["run"] = content["run"]
            said["configuration"] = strict_json.checksum(identity)
            manifest.write_text(json.dumps(said))
            _seal(manifest)


ENDINGS = (".json", ".jsonl", ".safetensors")


def _seal(path):
    try:
        content = json.loads(path.read_bytes())
        content.pop("sha256", None)
        path.write_bytes(strict_json.seal(content))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return  # what is no JSON object has no checksum


def flip(run):
    path = run.any()
    data = bytearray(path.read_bytes())
    place, bit = run.dice.randrange(len(data)), run.dice.randrange(8)
    data[place] ^= 1 << bit
    return run.changed(path, bytes(data), f"bit {bit} of byte {place}")


def cut(run):
    path = run.any()
    data = path.read_bytes()
    length = run.dice.choice([0, 1, 8, run.dice.randrange(len(data)), len(data) - 1])
    return run.changed(path, data[:length], f"cut to {length} of {len(data)}")


def overwrite(run):
    path = run.any()
    data = bytearray(path.read_bytes())
    begin = run.dice.randrange(len(data))
    length = run.dice.choice([1, 16, 512, 4096])
    new = run.dice.choice([b"\0" * length, run.dice.randbytes(length)])
    if run.dice.random() < 0.3:
        return run.changed(path, bytes(data) + new, f"{length} bytes more")
    data[begin : begin + length] = new
    return run.changed(path, bytes(data), f"{length} bytes from {begin} on")


def remove(run):
    path = run.any()
    path.unlink()
    return Damage(f"{run.name(path)} removed", files=[run.name(path)])


def swap(run):
    path = run.any()
    other = run.dice.choice(run.others)
    source = run.dice.choice(
        [other / run.name(path), run.any(path.suffix), other / "checkpoints" / path.name]
    )
    if not source.exists():
        source = run.any(path.suffix)
    new = source.read_bytes()
    if run.sealed and path.suffix == ".json" and path.parent == run.checkpoints:
        # A manifest that claims to be of this run.
        mine, theirs = json.loads(path.read_text()), json.loads(new)
        new = json.dumps(theirs | {key: mine[key] for key in ("run", "configuration")}).encode()
    same = new == path.read_bytes()
    done = run.changed(path, new, f"replaced by {source.parent.parent.name} {source.name}")
    # Of one run, a manifest under another's name is refused unless it is best.json.
    done.another_model |= path.name == "best.json" and not same and source.parent == path.parent
    return done


def special(run):
    path = run.any() if run.dice.random() < 0.8 else run.checkpoints
    kind = run.dice.choice(["fifo", "link", "loop", "zero", "folder"])
    moved = run.outside.parent / "moved"
    if moved.is_dir():
        shutil.rmtree(moved)
    moved.unlink(missing_ok=True)
    shutil.move(path, moved)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": moved, "loop": path, "zero": "/dev/zero"}[kind])
    return Damage(f"{run.name(path)}: {kind}", files=[run.name(path)])


def hostile_json(run):
    path = run.any(".json", ".json", ".jsonl")
    text = path.read_text()
    lines = text.splitlines()
    if path.suffix == ".jsonl":
        place = run.dice.randrange(len(lines))
        lines[place], what = _hostile(run, lines[place])
        return run.changed(path, "\n".join([*lines, ""]).encode("utf-8", "surrogateescape"), what)
    new, what = _hostile(run, text)
    done = run.changed(path, new.encode("utf-8", "surrogateescape"), what)
    if run.sealed and path.name == "config.json" and run.dice.random() < 0.7:
        try:
            run.adopt_config()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return done
        done.what += ", which the checkpoints take for theirs"
        done.another_model = True
    if path.name == "best.json":  # facts that only a person reads
        done.another_model |= run.sealed
    return done


def _hostile(run, text):
    dice = run.dice
    content = json.loads(text)
    kind = dice.choice(["value"] * 8 + ["key", "text"])
    if kind == "text":
        what = dice.choice(list(TEXTS))
        return TEXTS[what](text), what
    at, holder = [], content
    while True:  # down to any value
        key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        at.append(key)
        inside = holder[key]
        if not isinstance(inside, dict) or not inside or dice.random() < 0.2:
            break
        holder = inside
    if kind == "key":
        if dice.random() < 0.5:
            del holder[key]
            return json.dumps(content), f"no {at}"
        holder["more"] = 1
        return json.dumps(content), f"more beside {at}"
    holder[key] = dice.choice([*WRONG, *_close(inside)])
    return json.dumps(content), f"{at} is {str(holder[key])[:40]!r}"


def _close(value):
    """Values that a person might put in its place."""
    if isinstance(value, bool) or value is None:
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value * 2, value - 1, float(value)]
    if isinstance(value, str):
        return ["gru_reset_before", "lstm", "adam", "bfloat16", "float64", value + "x", value[1:]]
    return []


TEXTS = {
    "deep": lambda text: '{"a": ' + "[" * 100_000,
    "deep and closed": lambda text: '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
    "twice": lambda text: text.replace("{", '{"format": 2, "step": 1, ', 1),
    "nothing": lambda text: "",
    "null": lambda text: "null",
    "a number": lambda text: "3",
    "many": lambda text: "[" + "[]," * 10**6 + "1]",
    "not a number": lambda text: text.replace("1", "NaN", 1),
    "infinite": lambda text: text.replace("1", "1e999", 1),
    "digits": lambda text: text.replace("1", "1" * 10_000, 1),
    "not UTF-8": lambda text: text + "\udcff",
    "a byte-order mark": lambda text: "\ufeff" + text,
    "spaces": lambda text: text + " " * 10**7,
    "lines": lambda text: text + "\n" * 10**5,
    "a long string": lambda text: '{"sample": "' + "x" * 10**8 + '"}',
}


def hostile_arrays(run):
    path = run.any(".safetensors")
    kind = run.dice.choice(list(HEADERS))
    data = HEADERS[kind](path.read_bytes())
    done = run.changed(path, data, kind)
    if run.dice.random() < 0.2:
        size = run.dice.choice([2**30, 2**36, 2**42])
        os.truncate(path, size)
        if run.sealed:
            for manifest in run.checkpoints.glob("*.json"):
                content = json.loads(manifest.read_text())
                if content["arrays"]["file"] == path.name:
                    content["arrays"]["size"] = size
                    manifest.write_text(json.dumps(content))
                    _seal(manifest)
        done.what += f", {size} bytes, most of them holes"
    return done


def _header(text, data=b"", length=None):
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(shape, begin, end, dtype="F32"):
    return json.dumps({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}).encode()


def _twice(data):
    length = struct.unpack("<Q", data[:8])[0]
    text = data[8 : 8 + length].rstrip()
    first = text[1:].split(b"},")[0] + b"},"
    return _header(b"{" + first + text[1:], data[8 + length :])


HEADERS = {
    "twice the same name": _twice,
    "overlapping": lambda data: _header(
        b'{"a": %s, "b": %s}' % (_entry([2], 0, 8), _entry([2], 0, 8)), b"\0" * 8
    ),
    "a huge shape": lambda data: _header(b'{"a": %s}' % _entry([2**40, 2**40], 0, 8), b"\0" * 8),
    "a huge shape of nothing": lambda data: _header(b'{"a": %s}' % _entry([0, 2**62], 0, 0)),
    "a header of gigabytes": lambda data: _header(b"{}", length=2**40),
    "a header that ends late": lambda data: _header(data[8:], length=len(data) * 2),
    "a large header": lambda data: _header(b" " * 10**7),
    "a deep header": lambda data: _header(b"[" * 10**5),
    "many arrays": lambda data: _header(
        b"{" + b",".join(b'"%d": %s' % (n, _entry([0], 0, 0)) for n in range(10**5)) + b"}"
    ),
    "no header": lambda data: data[:8],
    "a zip": lambda data: b"PK\x03\x04" + data,
    "a pickle": lambda data: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "nothing": lambda data: b"",
}


def other_arrays(run):
    """Arrays in an ordinary file, but not those of the run."""
    path = run.any(".safetensors")
    arrays = load_file(path)
    name = run.dice.choice(sorted(arrays))
    array = arrays[name].copy()
    kind = run.dice.choice(
        ["missing", "extra", "renamed", "flat", "longer", "dtype", "nan", "inf", "huge", "zero"]
    )
    if kind == "missing":
        del arrays[name]
    elif kind == "extra":
        arrays["more"] = array
    elif kind == "renamed":
        arrays[name + "x"] = arrays.pop(name)
    elif kind == "flat":
        arrays[name] = array.reshape(-1, 1)
    elif kind == "longer":
        arrays[name] = array.repeat(2).copy()
    elif kind == "dtype":
        with np.errstate(over="ignore"):  # moments of an optimizer may be beyond float16
            arrays[name] = array.astype("float16" if array.dtype != "float16" else "float32")
    elif array.dtype.kind == "f":
        array.reshape(-1)[:1] = {"nan": "nan", "inf": "inf", "huge": 3e38, "zero": 0}[kind]
        arrays[name] = array
    else:
        array.reshape(-1)[:1] = 2**31 - 1 if kind == "huge" else 0
        arrays[name] = array
    done = run.changed(path, save(arrays), f"{kind} {name}")
    done.poisoned = kind in ("nan", "inf") and name.startswith(("state.params", "carry"))
    done.poisoned &= array.dtype.kind == "f"
    return done


def strays(run):
    """Files that a run has not, in places where it writes."""
    dice = run.dice
    name = dice.choice(
        [
            ".lock",
            ".config.json.tmp",
            ".metrics.jsonl.tmp",
            "checkpoints/.best.json.tmp",
            "checkpoints/.step-000000026.json.tmp",
            "checkpoints/.step-000000026.safetensors.tmp",
            "checkpoints/step-000000026.json",
            "checkpoints/step-000000026.safetensors",
            "checkpoints/step-999999999.json",
            "checkpoints/step-9999999999999999.json",
            "checkpoints/step-000000099.safetensors",
            "checkpoints/best.npz",
        ]
    )
    path = run.folder / name
    kind = dice.choice(["fifo", "link", "folder", "bytes", "copy", "loop"])
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(run.outside / "precious")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "copy":
        path.write_bytes(run.any(path.suffix if path.suffix in ENDINGS else ".json").read_bytes())
    else:
        path.write_bytes(dice.randbytes(100))
    return Damage(f"a stray {name}: {kind}", files=[name])


def sources(run):
    """A run that names something else as its text."""
    path = run.folder / "config.json"
    content = json.loads(path.read_text())
    source = run.dice.choice(SOURCES)
    if source == "FIFO":
        source = str(run.outside.parent / "a fifo")
        if not os.path.exists(source):
            os.mkfifo(source)
    content["text"]["sources"] = [source]
    path.write_text(json.dumps(content))
    run.seal(path)
    return Damage(f"the text is {source[:40]!r}", files=["config.json"])
