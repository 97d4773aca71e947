"""Checkpoints: one zip file of safetensors and JSON. Loading a stranger's file can fail, never execute.

Format 1: an uncompressed (stored) zip with exactly two members,

    tensors.safetensors   every tensor, by name
    meta.json             {"format": "rlsuite-checkpoint", "version": 1, "sha256": of the tensors,
                           "meta": {...}, "digest": SHA-256 of the four entries before}

so that the digest covers every value of both members. Files of rlsuite 0.1.0 and before have none, and are still read.

Nothing on the load path unpickles, imports a name from the file, or allocates more than the file's own size.
A save goes to a temporary file in the same folder, is flushed to the disk and then renamed over the old one,
so that a kill or a full disk at any moment leaves either the old checkpoint or the new one. Equal content
gives equal bytes.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import secrets
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

__all__ = ["Checkpoint", "CheckpointError", "CheckpointNotFoundError", "load_checkpoint", "save_checkpoint"]

FORMAT = "rlsuite-checkpoint"
VERSION = 1
MAX_META_BYTES = 64 * 2**20
_META, _TENSORS = "meta.json", "tensors.safetensors"
_STALE_SECONDS = 3600.0
# The ways in which zipfile, json and safetensors report damage.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, SafetensorError, EOFError, ValueError, TypeError),
    *(LookupError, RuntimeError, ArithmeticError, MemoryError, AssertionError),
)


class CheckpointError(ValueError):
    """A checkpoint could not be written or read; the message names the file, the fault and the remedy."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """The checkpoint's file does not exist."""


@dataclass(frozen=True)
class Checkpoint:
    """Contents of a checkpoint: metadata and tensors."""

    meta: dict[str, Any]
    """The JSON part, as it was saved (tuples come back as lists)."""
    tensors: dict[str, Tensor]
    """The tensors by name, on the CPU."""
    path: str = ""
    """Path of the file it was read from, for error messages."""

    def require(self, *, meta: tuple[str, ...] = (), tensors: tuple[str, ...] = ()) -> None:
        """Check that the checkpoint has these keys.

        Raises:
            CheckpointError: If any is missing; the message lists all of them.
        """
        missing = [f"meta {k!r}" for k in meta if k not in self.meta]
        missing += [f"tensor {k!r}" for k in tensors if k not in self.tensors]
        if missing:
            raise CheckpointError(
                f"checkpoint {self.path} lacks {', '.join(missing)}; it was made by another kind of model, "
                "load it with the class that saved it."
            )

    def section(self, prefix: str) -> dict[str, Tensor]:
        """The tensors named `prefix/...`, without the prefix; empty if there are none."""
        start = prefix + "/"
        return {name[len(start) :]: x for name, x in self.tensors.items() if name.startswith(start)}


def save_checkpoint(
    path: str | os.PathLike[str], *, meta: Mapping[str, Any], tensors: Mapping[str, Tensor | np.ndarray]
) -> Path:
    """Write a checkpoint atomically, replacing any file of that name.

    Args:
        path: Target; ".zip" is added when the name lacks it, missing folders are made.
        meta: JSON-able content (NumPy scalars are converted); keys must be strings.
        tensors: Tensors or numeric arrays of any device, layout and shape; gradients are not saved.

    Returns:
        The path of the file written.

    Raises:
        CheckpointError: If the content cannot be stored, or the disk is full or not writable. The previous
            file of that name is then intact and no temporary file is left.
    """
    target = _with_suffix(path)
    blob = safetensors.torch.save(_storable(target, tensors))
    document = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(blob).hexdigest(),
        "meta": _plain(target, dict(meta), "meta"),
    }
    document["digest"] = _digest(document)
    text = json.dumps(document, indent=1).encode()
    if len(text) > MAX_META_BYTES:
        raise CheckpointError(f"cannot save {target}: meta has {len(text)} bytes; store arrays as tensors.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        with _replacing(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            # ZipInfo without a date is 1980: the bytes depend on the content alone.
            archive.writestr(zipfile.ZipInfo(_TENSORS), blob)
            archive.writestr(zipfile.ZipInfo(_META), text)
    except OSError as error:
        state = "the previous checkpoint is intact" if target.exists() else "nothing was left behind"
        raise CheckpointError(
            f"cannot save {target}: {error.strerror or error}; {state}. Free some space or save to another folder."
        ) from error
    return target


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    return target if target.suffix == ".zip" else target.with_name(target.name + ".zip")


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Any]:
    """A binary file that becomes `target` if the block succeeds and vanishes if it does not."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if os.name == "posix":  # the rename itself lives in the folder; Windows cannot open folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_stale(target: Path) -> None:
    """Delete temporary files that killed saves of the same checkpoint left, but none that may be in use."""
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                leftover.unlink()


def _storable(target: Path, tensors: Mapping[str, Tensor | np.ndarray]) -> dict[str, Tensor]:
    """Contiguous CPU tensors that share no memory, as safetensors wants them."""
    result: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, x in tensors.items():
        if not isinstance(name, str):
            raise CheckpointError(f"cannot save {target}: tensor name {name!r} is not a string.")
        if isinstance(x, Tensor) and x.layout == torch.strided:
            y = x.detach().cpu().contiguous()
            # safetensors refuses shared memory, such as the layers of one flat parameter vector.
            memory = y.untyped_storage()
            shared = memory.nbytes() != y.nbytes or memory.data_ptr() in seen
            seen.add(memory.data_ptr())
            result[name] = y.clone() if shared else y
        elif isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "biufc" and x.dtype.isnative:
            result[name] = torch.from_numpy(np.array(x, order="C", copy=True))
        else:
            kind = x.dtype if isinstance(x, np.ndarray | Tensor) else type(x).__name__
            raise CheckpointError(
                f"cannot save {target}: tensor {name!r} is {kind}; give dense tensors or numeric arrays."
            )
    return result


def plain(value: Any, where: str) -> Any:
    """`value` in JSON's own types.

    Raises:
        ValueError: something that JSON would silently change or cannot hold; names it by `where`.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    what = "has keys that are not strings" if isinstance(value, dict) else f"is a {type(value).__name__}"
    raise ValueError(
        f"{where} {what}; a checkpoint holds None, bool, int, float, str, lists and dicts with string keys here"
    )


def _plain(target: Path, value: Any, where: str) -> Any:
    """`plain`, for a file that is being written."""
    try:
        return plain(value, where)
    except ValueError as error:
        raise CheckpointError(f"cannot save {target}: {error} (arrays belong to tensors).") from None


def _digest(document: dict[str, Any]) -> str:
    """SHA-256 (hexadecimal) of the document without its own digest; the order of keys does not count."""
    content = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_checkpoint(path: str | os.PathLike[str], *, verify: bool = True) -> Checkpoint:
    """Read a checkpoint, checking all of it.

    Args:
        path: The file; ".zip" is added if there is no file of the bare name.
        verify: Compare the content with the checksums written at save; False reads a file that was edited
            on purpose.

    Returns:
        Its meta and tensors (on the CPU, writable).

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointError: If it is corrupt, truncated, foreign, of a newer format, or oversized. Nothing of
            the file is ever executed.
    """
    source = Path(path)
    if not source.is_file():
        source = _with_suffix(path)
    if not source.is_file():
        raise CheckpointNotFoundError(f"no checkpoint at {source}; check the path.")
    try:
        blob, text = _read_members(source)
        document = json.loads(text)
        _check_document(source, document)
        if verify:
            _verify(source, document, blob)
        tensors = safetensors.torch.load(blob)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"cannot read {source}: {error.strerror or error}; check the file.") from error
    except _DAMAGE as error:
        raise CheckpointError(_corrupt(source, str(error) or type(error).__name__)) from error
    return Checkpoint(document["meta"], tensors, str(source))


def _verify(source: Path, document: dict[str, Any], blob: bytes) -> None:
    """Raise unless both members are what was saved; older files have no digest of their metadata."""
    edited = "; load it with verify=False if it was edited on purpose"
    if hashlib.sha256(blob).hexdigest() != document["sha256"]:
        raise CheckpointError(_corrupt(source, f"its tensors do not match their checksum{edited}"))
    if "digest" in document and document["digest"] != _digest(document):
        raise CheckpointError(_corrupt(source, f"{_META} does not match its checksum{edited}"))


def _corrupt(source: Path, why: str) -> str:
    return f"checkpoint {source} is damaged ({why}); use an earlier checkpoint or a fresh copy."


def _read_members(source: Path) -> tuple[bytes, bytes]:
    size = source.stat().st_size
    with open(source, "rb") as file:
        head = file.read(16)
        if not head.startswith(b"PK"):
            raise CheckpointError(f"{source} is not an rlsuite checkpoint: {_describe_head(head, size)}.")
        with zipfile.ZipFile(file) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            if len(infos) != 2 or len(archive.infolist()) != 2 or set(infos) != {_META, _TENSORS}:
                raise CheckpointError(f"{source} is not an rlsuite checkpoint: {_describe_zip(list(infos))}.")
            for name, info in infos.items():
                # Stored members cannot unpack to more than the file: no bomb, whatever the header claims.
                if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                    raise CheckpointError(_corrupt(source, f"{name} is compressed, which we never do"))
                limit = min(size, MAX_META_BYTES) if name == _META else size
                if info.file_size > limit:
                    why = f"{name} claims {info.file_size} bytes, the limit is {limit}"
                    raise CheckpointError(_corrupt(source, why))
            return archive.read(_TENSORS), archive.read(_META)


def _describe_head(head: bytes, size: int) -> str:
    if size == 0:
        return "the file is empty (an interrupted copy?); use an earlier checkpoint"
    if head.startswith(b"\x80") or head[:1] in (b"c", b"("):
        return "it looks like a pickle, which could run code and is never opened; save with rlsuite instead"
    return f"it starts with {head[:4]!r}, not with a zip header; give a file saved by rlsuite"


def _describe_zip(names: list[str]) -> str:
    if "data" in names and any(name.endswith(".pth") for name in names):
        return "it is a Stable-Baselines3 model; load it through rlsuite.sb3"
    if any(name.endswith("data.pkl") for name in names):
        return "it was written by torch.save, whose pickle is never opened; save with rlsuite instead"
    listing = ", ".join(repr(name) for name in sorted(names)[:4]) or "nothing"
    return f"the zip holds {listing}, not '{_META}' and '{_TENSORS}'; give a file saved by rlsuite"


def _check_document(source: Path, document: Any) -> None:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(f"{source} is not an rlsuite checkpoint: {_META} does not say {FORMAT!r}.")
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(_corrupt(source, f"its format version is {version!r}"))
    if version > VERSION:
        raise CheckpointError(
            f"checkpoint {source} has format {version}, this rlsuite reads up to {VERSION}; upgrade rlsuite."
        )
    if not isinstance(document.get("meta"), dict) or not isinstance(document.get("sha256"), str):
        raise CheckpointError(_corrupt(source, f"{_META} lacks 'meta' or 'sha256'"))
