"""Downloading a file so that under its name there is only ever the whole, checked file.

Bytes are collected in `NAME.part`. A broken download is continued where it stopped (HTTP ranges), from any mirror; when
all bytes are there and the MD5 sum is right, the file gets its name in one step.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ...errors import message

_CHUNK = 1 << 16
_PATIENCE = 30.0  # seconds without a byte


def md5_of(path: Path) -> str:
    """The MD5 sum of a file in hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def download(name: str, mirrors: Sequence[str], folder: Path, md5: str) -> Path:
    """Get `mirror + name` into `folder` from the first mirror that gives it whole.

    Raises:
        RuntimeError: no mirror did; the text says why for each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    reasons = []
    for mirror in mirrors:
        url = mirror.rstrip("/") + "/" + name
        try:
            _download(url, path, md5)
            return path
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {str(error) or type(error).__name__}")
    raise RuntimeError(
        message(
            f"{name} could not be downloaded",
            got="".join(f"\n    {reason}" for reason in reasons) or "no mirrors",
            fix=f"try again (it goes on where it stopped), or put the file into {folder} yourself",
        )
    )


def unzip(path: Path) -> Path:
    """Unzip `NAME.gz` into `NAME` beside it, in one step."""
    target = path.with_suffix("")
    part = target.with_name(target.name + ".part")
    with gzip.open(path, "rb") as source, open(part, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    os.replace(part, target)
    return target


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step: under its name there is never a part of it."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def _download(url: str, path: Path, md5: str) -> None:
    part = path.with_name(path.name + ".part")
    continued = part.exists()
    _collect(url, part)
    got = md5_of(part)
    if got != md5 and continued:  # the beginning came from elsewhere: once more, from the start
        part.unlink()
        _collect(url, part)
        got = md5_of(part)
    if got != md5:
        part.unlink()
        raise RuntimeError(f"the file is damaged or another one: its MD5 sum is {got}, not {md5}")
    os.replace(part, path)


def _collect(url: str, part: Path) -> None:
    """Fill `part` from where it ends."""
    start = part.stat().st_size if part.exists() else 0
    try:
        response = _open(url, start)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 416 or not start:
                raise
            if error.headers.get("Content-Range", "") == f"bytes */{start}":
                return  # there is nothing after the end: it was all here
        part.unlink()
        start, response = 0, _open(url, 0)
    with response:
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # this server sends the whole file again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            open(part, "ab" if start else "wb") as file,
            tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True) as bar,
        ):
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
            got = file.tell()
    if total is not None and got != total:
        raise OSError(f"the connection ended after {got} of {total} bytes")


def _open(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "tapegrad"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_PATIENCE)
