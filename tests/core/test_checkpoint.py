"""Checkpoints: exact round trips; damage, foreign files and full disks end in a clear error and nothing worse."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.checkpoint import CheckpointError, CheckpointNotFoundError, load_checkpoint, save_checkpoint

META = {"algorithm": "PPO", "config": {"gamma": 0.99, "net": [64, 64]}, "best": float("-inf"), "note": None}


def tensors():
    return {
        "policy/weight": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),
        "policy/bias": torch.arange(3, dtype=torch.float64),
        "count": torch.tensor(7),
        "done": torch.tensor([True, False]),
        "empty": torch.zeros(0, 5),
        "rng": torch.arange(16, dtype=torch.uint8),
    }


def same(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) and a[k].shape == b[k].shape for k in a
    )


@pytest.fixture
def saved(tmp_path):
    return save_checkpoint(tmp_path / "model", meta=META, tensors=tensors())


# Round trips --------------------------------------------------------------------------------------------


def test_round_trip(saved):
    for path in (saved, saved.with_suffix(""), str(saved)):
        loaded = load_checkpoint(path)
        assert loaded.meta == META
        assert same(loaded.tensors, tensors())
        loaded.tensors["policy/weight"].add_(1)  # writable
    assert saved.name == "model.zip"
    assert [p.name for p in saved.parent.iterdir()] == ["model.zip"]


def test_suffix_as_in_stable_baselines3(tmp_path):
    assert save_checkpoint(tmp_path / "deep" / "ppo.v1", meta={}, tensors={}).name == "ppo.v1.zip"
    assert load_checkpoint(tmp_path / "deep" / "ppo.v1").tensors == {}
    (tmp_path / "deep" / "ppo.v1").mkdir()  # a folder of the bare name is no obstacle
    assert load_checkpoint(tmp_path / "deep" / "ppo.v1").meta == {}


def test_views_numpy_and_strange_layouts(tmp_path):
    flat = torch.arange(10.0)
    given = {
        "first": flat[:4].view(2, 2),
        "second": flat[4:],
        "again": flat[:4].view(2, 2),
        "transposed": torch.arange(6.0).view(2, 3).T,
        "expanded": torch.tensor(1.0).expand(3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "scalar": np.float32(2.5),
        "zero_dim": np.array(3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "backwards": np.arange(4)[::-1],
        "read_only": np.broadcast_to(np.float64(1.0), (3,)),
    }
    loaded = load_checkpoint(save_checkpoint(tmp_path / "x", meta={}, tensors=given)).tensors
    for name, x in given.items():
        expected = x.detach() if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x))
        assert torch.equal(loaded[name], expected) and loaded[name].shape == expected.shape, name
        assert loaded[name].dtype == expected.dtype


def test_equal_content_equal_bytes(tmp_path):
    a = save_checkpoint(tmp_path / "a", meta=META, tensors=tensors())
    b = save_checkpoint(tmp_path / "b", meta=META, tensors=tensors())
    assert a.read_bytes() == b.read_bytes()


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None)
@given(meta=st.dictionaries(st.text(), json_like, max_size=4))
def test_any_json_round_trips(tmp_path_factory, meta):
    path = save_checkpoint(tmp_path_factory.mktemp("meta") / "x", meta=meta, tensors={})
    assert load_checkpoint(path).meta == meta


def test_numpy_numbers_in_meta(tmp_path):
    meta = {"a": np.int64(3), "b": np.float32(0.5), "c": (1, 2), "d": np.bool_(True)}
    path = save_checkpoint(tmp_path / "x", meta=meta, tensors={})
    assert load_checkpoint(path).meta == {"a": 3, "b": 0.5, "c": [1, 2], "d": True}


def test_require_and_section(saved):
    loaded = load_checkpoint(saved)
    loaded.require(meta=("algorithm",), tensors=("count",))
    with pytest.raises(CheckpointError, match=r"model.zip lacks meta 'seed', tensor 'q'"):
        loaded.require(meta=("algorithm", "seed"), tensors=("q",))
    assert loaded.section("policy").keys() == {"weight", "bias"}
    assert loaded.section("pol") == {}


# What cannot be saved -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "meta, tensor, match",
    [
        ({"f": print}, {}, r"meta\['f'\] is a builtin_function"),
        ({"a": [{"b": np.zeros(2)}]}, {}, r"meta\['a'\]\[0\]\['b'\] is a ndarray"),
        ({"a": {1: 2}}, {}, r"meta\['a'\] has keys that are not strings"),
        ({}, {"x": np.array(["text"])}, "tensor 'x' is <U4"),
        ({}, {"x": np.array([object()])}, "tensor 'x' is object"),
        ({}, {"x": [1, 2]}, "tensor 'x' is list"),
        ({}, {"x": torch.eye(2).to_sparse()}, "tensor 'x' is torch.float32; give dense"),
        ({}, {3: torch.zeros(1)}, "tensor name 3 is not a string"),
    ],
)
def test_unsavable_content_leaves_the_old_file(saved, meta, tensor, match):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match=match):
        save_checkpoint(saved, meta=meta, tensors=tensor)
    assert saved.read_bytes() == before and len(list(saved.parent.iterdir())) == 1


# Damage -------------------------------------------------------------------------------------------------


def outcome(path):
    """'error', or 'same' if the content is exactly what was saved. Anything else fails the test."""
    try:
        loaded = load_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)
        return "error"
    assert loaded.meta == META and same(loaded.tensors, tensors())
    return "same"


def test_every_flipped_byte_is_found_or_harmless(saved):
    """Bytes that nobody reads (time stamps, permissions) may change; content may not."""
    good = saved.read_bytes()
    damaged = saved.with_name("damaged.zip")
    results = []
    for i in range(len(good)):
        bit = (0x01, 0x80, 0x10)[i % 3]
        damaged.write_bytes(good[:i] + bytes([good[i] ^ bit]) + good[i + 1 :])
        results.append(outcome(damaged))
    assert results.count("error") > 0.9 * len(results)


def test_every_truncation_is_found(saved):
    good = saved.read_bytes()
    damaged = saved.with_name("damaged.zip")
    for size in range(0, len(good), 3):
        damaged.write_bytes(good[:size])
        assert outcome(damaged) == "error", size


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_spliced_files(tmp_path_factory, data):
    """Blocks overwritten, removed or repeated at random."""
    folder = tmp_path_factory.mktemp("splice")
    good = save_checkpoint(folder / "good", meta=META, tensors=tensors()).read_bytes()
    start, stop = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    middle = data.draw(st.binary(max_size=40) | st.just(good[start:stop] * 2))
    (folder / "bad.zip").write_bytes(good[:start] + middle + good[stop:])
    outcome(folder / "bad.zip")


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=200),
    head=st.sampled_from([b"", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)]),
)
def test_random_bytes(tmp_path_factory, content, head):
    path = tmp_path_factory.mktemp("random") / "x.zip"
    path.write_bytes(head + content)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def repack(source, target, *, compression=zipfile.ZIP_STORED, **members):
    """Copy a checkpoint with some members replaced (None removes one)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        content = {name: old.read(name) for name in old.namelist()}
        content |= {name.replace("__", "."): data for name, data in members.items()}
        for name, data in content.items():
            if data is not None:
                new.writestr(name, data)
    return target


def document(source):
    with zipfile.ZipFile(source) as archive:
        return json.loads(archive.read("meta.json"))


@pytest.mark.parametrize(
    "change, match",
    [
        ({"version": 2}, "has format 2, this rlsuite reads up to 1; upgrade"),
        ({"version": "1"}, "version is '1'"),
        ({"version": True}, "version is True"),
        ({"version": 0}, "version is 0"),
        ({"format": "other"}, "does not say 'rlsuite-checkpoint'"),
        ({"sha256": "0" * 64}, "do not match their checksum"),
        ({"sha256": None}, "lacks 'meta' or 'sha256'"),
        ({"meta": [1]}, "lacks 'meta' or 'sha256'"),
    ],
)
def test_wrong_header(saved, tmp_path, change, match):
    text = json.dumps(document(saved) | change)
    bad = repack(saved, tmp_path / "bad.zip", meta__json=text)
    with pytest.raises(CheckpointError, match=match):
        load_checkpoint(bad)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "9" * 10_000, b"\xff\xfe", '{"format": 1}'])
def test_wrong_json(saved, tmp_path, text):
    with pytest.raises(CheckpointError, match=r"bad\.zip"):
        load_checkpoint(repack(saved, tmp_path / "bad.zip", meta__json=text))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x00" * 8,
        (2**63).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}" + b"extra",
        (58).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,999999]}}',
    ],
)
def test_wrong_safetensors_with_a_right_checksum(saved, tmp_path, blob):
    """A hostile file can carry a matching checksum; the parser must still refuse it."""
    text = json.dumps(document(saved) | {"sha256": hashlib.sha256(blob).hexdigest()})
    bad = repack(saved, tmp_path / "bad.zip", meta__json=text, tensors__safetensors=blob)
    with pytest.raises(CheckpointError, match=r"bad\.zip is damaged"):
        load_checkpoint(bad)


def test_zip_bombs_are_not_unpacked(saved, tmp_path):
    bomb = repack(saved, tmp_path / "bomb.zip", compression=zipfile.ZIP_DEFLATED, meta__json=b" " * 10_000_000)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="is compressed, which we never do"):
        load_checkpoint(bomb)
    # A stored member whose header claims more than the file has.
    data = bytearray(saved.read_bytes())
    central = data.index(b"PK\x01\x02")
    for field in (20, 24):  # compressed and real size of the first member
        data[central + field : central + field + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "claims.zip").write_bytes(data)
    with pytest.raises(CheckpointError, match="claims 2147483648 bytes, the limit is"):
        load_checkpoint(tmp_path / "claims.zip")


def test_missing_and_additional_members(saved, tmp_path):
    for members in ({"meta__json": None}, {"tensors__safetensors": None}, {"evil__pkl": b"x"}):
        with pytest.raises(CheckpointError, match="the zip holds"):
            load_checkpoint(repack(saved, tmp_path / "bad.zip", **members))


def edited(value, rng):
    """A JSON value changed at one random place."""
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return {**value, key: edited(value[key], rng)}
    if isinstance(value, list) and value:
        index = rng.randrange(len(value))
        return [*value[:index], edited(value[index], rng), *value[index + 1 :]]
    return rng.choice([x for x in (None, -1, 0.5, "x", [], {}, 10**12, float("nan")) if x is not value])


@pytest.mark.parametrize("seed", range(30))
def test_well_formed_edits_are_found(saved, tmp_path, seed):
    """Of the metadata, and of the tensors with a checksum that fits them."""
    rng = random.Random(seed)
    whole = document(saved)
    part = rng.choice(["meta", "tensors"])
    if part == "meta":
        bad = repack(saved, tmp_path / "bad.zip", meta__json=json.dumps(whole | {"meta": edited(whole["meta"], rng)}))
    else:
        changed = tensors()
        name = rng.choice(sorted(name for name, x in changed.items() if x.numel()))
        changed[name] = changed[name].to(torch.int8) if rng.random() < 0.5 else torch.zeros_like(changed[name]) + 3
        blob = safetensors.torch.save(changed)
        text = json.dumps(whole | {"sha256": hashlib.sha256(blob).hexdigest()})
        bad = repack(saved, tmp_path / "bad.zip", meta__json=text, tensors__safetensors=blob)
    with pytest.raises(CheckpointError, match=r"meta\.json does not match its checksum.*verify=False"):
        load_checkpoint(bad)
    loaded = load_checkpoint(bad, verify=False)
    assert loaded.meta != META or not same(loaded.tensors, tensors())


def test_files_without_a_digest_are_read(saved, tmp_path):
    old = document(saved)
    del old["digest"]
    loaded = load_checkpoint(repack(saved, tmp_path / "old.zip", meta__json=json.dumps(old)))
    assert loaded.meta == META and same(loaded.tensors, tensors())


# Foreign files ------------------------------------------------------------------------------------------


class Bomb:
    """Unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


@pytest.mark.parametrize("kind", ["pickle", "protocol 0", "torch", "old torch", "in zip", "in meta", "in tensors"])
def test_pickles_are_never_executed(saved, tmp_path, kind):
    mark, path = tmp_path / "executed", tmp_path / "evil.zip"
    bomb = Bomb(mark)
    if kind in ("pickle", "protocol 0"):
        path.write_bytes(pickle.dumps(bomb, protocol=0 if kind == "protocol 0" else None))
    elif kind in ("torch", "old torch"):
        torch.save({"x": bomb}, path, _use_new_zipfile_serialization=kind == "torch")
    elif kind == "in zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", pickle.dumps(bomb))
    else:
        name = "meta__json" if kind == "in meta" else "tensors__safetensors"
        repack(saved, path, **{name: pickle.dumps(bomb)})
    with pytest.raises(CheckpointError, match=r"evil\.zip"):
        load_checkpoint(path)
    assert not mark.exists()
    if kind == "pickle":
        pickle.loads(path.read_bytes())  # the bomb itself works
        assert mark.exists()


def test_stable_baselines3_model_is_named(tmp_path):
    from stable_baselines3 import PPO

    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu").save(tmp_path / "sb3")
    with pytest.raises(CheckpointError, match=r"Stable-Baselines3 model; load it through rlsuite\.sb3"):
        load_checkpoint(tmp_path / "sb3")


def test_other_foreign_files(tmp_path):
    path = tmp_path / "x.zip"
    torch.save({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"written by torch\.save"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="looks like a pickle"):
        load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="the file is empty"):
        load_checkpoint(path)
    path.write_text("hello, world")
    with pytest.raises(CheckpointError, match="not with a zip header"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"holds 'readme\.txt', not 'meta\.json'"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(CheckpointError, match="holds nothing"):
        load_checkpoint(path)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"no checkpoint at .*gone\.zip; check the path"):
        load_checkpoint(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "gone")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


# Writing fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_full_disk_leaves_the_old_file(saved, monkeypatch, where):
    before = saved.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "write":
        monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    else:
        monkeypatch.setattr(os, where, full)
    with pytest.raises(CheckpointError, match=r"No space left on device; the previous checkpoint is intact"):
        save_checkpoint(saved, meta={}, tensors={"x": torch.zeros(1000)})
    monkeypatch.undo()
    assert saved.read_bytes() == before and len(list(saved.parent.iterdir())) == 1
    assert outcome(saved) == "same"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("size", [10, 100_000])
def test_full_device(saved, monkeypatch, size):
    """Real ENOSPC from the kernel: in the middle of a write, and at the flush of a small file."""
    before = saved.read_bytes()
    real = io.open

    def on_full_device(file, mode="r", *args, **kwargs):
        return real("/dev/full", "wb") if mode == "xb" else real(file, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", on_full_device)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(saved, meta={}, tensors={"x": torch.zeros(size)})
    monkeypatch.undo()
    assert saved.read_bytes() == before


LIMITED = """
import resource, sys, torch
from rlsuite.core.checkpoint import CheckpointError, save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_checkpoint(sys.argv[1], meta={}, tensors={"x": torch.zeros(100_000)})
except CheckpointError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_file_size_limit_in_a_process_of_its_own(saved):
    """The kernel stops the write half-way, as a full disk or a quota would."""
    result = subprocess.run([sys.executable, "-c", LIMITED, str(saved)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 3, result.stderr
    assert "File too large; the previous checkpoint is intact" in result.stdout
    assert outcome(saved) == "same" and len(list(saved.parent.iterdir())) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_target_is_a_folder_or_below_a_file(tmp_path):
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(CheckpointError, match=r"cannot save .*folder\.zip"):
        save_checkpoint(tmp_path / "folder", meta={}, tensors={})
    assert [p.name for p in tmp_path.iterdir()] == ["folder.zip"]
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot save"):
        save_checkpoint(tmp_path / "file" / "model", meta={}, tensors={})


KILLED = """
import itertools, sys, torch
from rlsuite.core.checkpoint import save_checkpoint
for i in itertools.count():
    save_checkpoint(sys.argv[1], meta={"i": i}, tensors={"x": torch.full((200_000,), float(i))})
    print(i, flush=True)
"""


def test_killed_while_saving(tmp_path):
    """kill -9 in the middle of a stream of saves: the file is one of them, whole."""
    path = tmp_path / "model.zip"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(7):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    loaded = load_checkpoint(path)
    assert loaded.meta["i"] >= 5
    assert bool((loaded.tensors["x"] == loaded.meta["i"]).all())


def test_old_leftovers_are_swept_and_young_ones_are_not(saved):
    old, young, other = (saved.with_name(f".{name}.0123.tmp") for name in ("model.zip", "model.zip.x", "another.zip"))
    for path in (old, young, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (0, 0))
    save_checkpoint(saved, meta={}, tensors={})
    assert not old.exists() and young.exists() and other.exists()
