from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from places import SAMPLES
from torch.utils.data import DataLoader, Dataset

from nerv_codec import VideoDecoder
from nerv_codec.base.errors import BitstreamError
from nerv_codec.bitstream.container import SECTION_GOP, pack_section, write_prologue
from nerv_codec.decoding.gop_loader import GopLoader, PositionedFile, open_container
from nerv_codec.decoding.inspection import inspect
from nerv_codec.decoding.metadata import read_summary
from nerv_codec.entropy.weights import QuantizedTensor
from nerv_codec.representations.siren.payload import pack_siren
from nerv_codec.representations.siren.shape import tensor_shapes
from nerv_codec.representations.warped import decode


class Frames(Dataset):
    """Frames of a decoder that was opened before the workers were started."""

    def __init__(self, video):
        self.video = video

    def __len__(self):
        return len(self.video)

    def __getitem__(self, index):
        return self.video[index]


@pytest.fixture
def large_nvc(tiny_nvc, tmp_path):
    """A file of several GOPs, each beyond what a buffered reader takes at a time: networks at random."""
    rng = np.random.default_rng(0)
    with open_container(tiny_nvc) as container:
        header = container.header
    sections = []
    for _ in header.gops:
        shapes = tensor_shapes(96, 2, 3)
        tensors = [QuantizedTensor(np.rint(rng.normal(0, 9, shape)).astype(np.int32), -8) for shape in shapes]
        sections.append(pack_section(SECTION_GOP, pack_siren(tensors)))
    entries = [replace(entry, section_bytes=len(part)) for entry, part in zip(header.gops, sections, strict=True)]
    path = tmp_path / "large.nvc"
    path.write_bytes(write_prologue(replace(header, gops=tuple(entries), other_bytes=0)) + b"".join(sections))
    assert all(len(part) > 1 << 13 for part in sections)
    return path


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_data_loader_read_the_right_frames(large_nvc, start):
    with VideoDecoder(large_nvc, device="cpu") as video:
        context = multiprocessing.get_context(start)
        loader = DataLoader(Frames(video), batch_size=3, num_workers=4, multiprocessing_context=context)
        found = torch.cat(list(loader))
        with VideoDecoder(large_nvc, device="cpu") as alone:
            assert torch.equal(found, alone[:])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("name", ["golden_lossless.nvc", "golden_warped.nvc"])
def test_a_fork_goes_on_where_its_parent_had_begun_to_decode(name):
    """What decodes on demand may have threads, which a fork does not have."""
    with VideoDecoder(SAMPLES / name, device="cpu") as video, VideoDecoder(SAMPLES / name, device="cpu") as other:
        right = other[:]  # before, so that a fork has nothing to compile
        assert torch.equal(video[0], right[0])
        loader = DataLoader(Frames(video), num_workers=1, multiprocessing_context="fork", timeout=60)
        assert torch.equal(torch.cat(list(loader)), right) and torch.equal(video[1], right[1])


def test_damage_that_is_seen_late_names_its_gop_and_does_not_stay(monkeypatch):
    with VideoDecoder(SAMPLES / "golden_warped.nvc", device="cpu") as video:
        right = decode.checksum_with
        monkeypatch.setattr(decode, "checksum_with", lambda crc, planes: right(crc, planes) ^ 1)
        first = video[0]
        with pytest.raises(BitstreamError, match="GOP 0: the decoded planes"):
            video[:8]
        monkeypatch.undo()
        assert torch.equal(video[:8][0], first)


def test_a_decoder_of_a_path_can_be_pickled(tiny_nvc):
    with VideoDecoder(tiny_nvc, device="cpu", keep_going=True) as video, pickle.loads(pickle.dumps(video)) as other:
        assert torch.equal(other[7], video[7])
        assert other.device == video.device
    with open(tiny_nvc, "rb") as file, pytest.raises(TypeError, match="give it a path"):
        pickle.dumps(VideoDecoder(file, device="cpu"))


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_a_positioned_file_reads_as_files_do(tmp_path, monkeypatch, system):
    if system == "windows":
        monkeypatch.delattr(os, "pread")
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    with PositionedFile(path) as file, open(path, "rb") as expected:
        assert file.readable() and file.seekable() and not file.writable()
        for step in ((0, 0), (90, 0), (-5, 1), (-3, 2), (200, 0)):
            assert file.seek(*step) == expected.seek(*step)
            assert file.read(7) == expected.read(7)
        file.seek(98)
        assert file.read() == bytes((98, 99))
    assert file.closed


@pytest.mark.parametrize("name", ["golden.nvc", "golden_warped.nvc"])
def test_what_a_gop_says_beforehand_is_what_it_decodes_to(name):
    with open_container(SAMPLES / name) as container:
        loader = GopLoader(container, torch.device("cpu"))
        for index in range(len(container.header.gops)):
            function, digest, parts = loader.unpack(index)
            summary = read_summary(container, index)
            assert (summary.digest, summary.part_bytes["header"]) == (digest, parts["header"])
            assert sum(summary.part_bytes.values()) == sum(parts.values()) and min(parts.values()) > 0
            assert summary.macs_per_sample == function.macs_per_sample


def test_inspecting_needs_neither_torch_nor_a_compiler():
    code = (
        "import sys; from nerv_codec.decoding.inspection import inspect; inspect(sys.argv[1]);"
        "print(sorted({'torch', 'numba', 'cv2'} & set(sys.modules)))"
    )
    for name in ("golden.nvc", "golden_lossless.nvc"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(SAMPLES / name)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[]\n"
        assert inspect(SAMPLES / name)["gops"]
