"""`medvision weights`: fetched, placed by hand, taken of a study; verified, trained from."""

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from file_server import Shop, serve
from toy_study import make_study

from medvision.cli.main import main
from medvision.layout import Layout
from medvision.learn.backbones import build_backbone
from medvision.learn.registry import CATALOGUE


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty shelf of this test."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(folder))
    return folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["weights", *arguments])


def write_weights(path: Path) -> bytes:
    """A state dict of the small network for images in three colours, as others would save it."""
    torch.manual_seed(0)
    network = build_backbone("small", spatial_dims=2, channels=3, n_classes=5)
    torch.save({"state_dict": network.state_dict()}, path)
    return path.read_bytes()


def describe(shelf: Path, name: str, **changes: object) -> None:
    held = yaml.safe_load((CATALOGUE / "resnet18-imagenet.yaml").read_text())
    held |= {"backbone": "small", "file": "w.pt", "url": None, "sha256_prefix": None, **changes}
    (shelf / f"{name}.yaml").write_text(yaml.safe_dump(held))


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_fetched_file_is_held_to_its_digest_and_placed(shelf: Path, tmp_path: Path) -> None:
    content = write_weights(tmp_path / "w.pt")
    with serve(Shop(content, cuts=[1000])) as shop:
        describe(shelf, "toy", url=f"{shop.url}/file", sha256=hash_of(content))
        result = call("add", "toy")
    assert result.exit_code == 0, result.output
    assert "as described" in result.output
    assert (shelf / "toy" / "w.pt").read_bytes() == content
    assert sorted(p.name for p in (shelf / "toy").iterdir()) == ["receipt.json", "w.pt"]
    assert "PASS toy" in call("verify").output


def test_another_file_than_described_is_removed_and_never_placed(shelf: Path) -> None:
    with serve(Shop(b"other bytes")) as shop:
        describe(shelf, "toy", url=f"{shop.url}/file", sha256=hash_of(b"the file"))
        result = call("add", "toy")
    assert result.exit_code == 8
    assert f"sha256 must be {hash_of(b'the file')}, got {hash_of(b'other bytes')}" in result.output
    assert list((shelf / "toy").iterdir()) == []


def test_a_published_prefix_is_held_to_and_called_one(shelf: Path) -> None:
    content = b"weights"
    with serve(Shop(content)) as shop:
        describe(shelf, "toy", url=f"{shop.url}/file", sha256_prefix=hash_of(content)[:8])
        assert "the rest is not published" in call("add", "toy").output
        describe(shelf, "toy", url=f"{shop.url}/file", sha256_prefix="00000000")
        assert call("add", "toy").exit_code == 8


def test_a_download_without_any_digest_is_refused_until_one_is_pinned(shelf: Path) -> None:
    content = b"weights"
    with serve(Shop(content)) as shop:
        describe(shelf, "toy", url=f"{shop.url}/file")
        result = call("add", "toy")
        assert result.exit_code == 8
        assert "must be held to a sha256, got none published" in result.output
        assert not shop.asked
        assert call("add", "toy", "--sha256", hash_of(b"other")).exit_code == 8
        assert not (shelf / "toy" / "w.pt").exists()
        assert "as given with --sha256" in call("add", "toy", "--sha256", hash_of(content)).output
    assert "--sha256: digest must be 64" in call("add", "toy", "--sha256", "abc").output


def test_a_pinned_digest_does_not_excuse_a_published_one(shelf: Path, tmp_path: Path) -> None:
    describe(shelf, "toy", sha256=hash_of(b"the file"))
    (tmp_path / "mine.pt").write_bytes(b"forged")
    result = call("add", "toy", str(tmp_path / "mine.pt"), "--sha256", hash_of(b"forged"))
    assert result.exit_code == 8
    assert f"sha256 must be {hash_of(b'the file')}" in result.output


def test_show_says_what_to_fetch_from_where_and_where_to_put_it(shelf: Path) -> None:
    output = call("show", "resnet18-imagenet").output
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in output
    assert "begins with f37072fd" in output
    assert str(shelf / "resnet18-imagenet" / "resnet18-f37072fd.pth") in output
    assert "medvision weights add resnet18-imagenet resnet18-f37072fd.pth" in output


def test_a_file_placed_by_hand_is_copied_noted_and_watched(shelf: Path, tmp_path: Path) -> None:
    describe(shelf, "toy")
    write_weights(tmp_path / "mine.pt")
    assert (
        "noted, so that a change is found" in call("add", "toy", str(tmp_path / "mine.pt")).output
    )
    assert "yes" in next(line for line in call("list").output.splitlines() if "toy " in line)
    placed = shelf / "toy" / "w.pt"
    placed.write_bytes(placed.read_bytes()[:-1] + b"x")
    result = call("verify", "toy")
    assert result.exit_code == 8
    assert "FAIL toy" in result.output


def test_a_missing_file_by_hand_and_an_unknown_name_are_refused(
    shelf: Path, tmp_path: Path
) -> None:
    assert "file must exist" in call("add", "resnet18-imagenet", str(tmp_path / "no.pt")).output
    assert "name must be one of" in call("show", "vgg").output
    (tmp_path / "w.pt").write_bytes(b"weights")
    assert "says nothing of itself" in call("add", "mine", str(tmp_path / "w.pt")).output


def train(root: Path, weights: str, **model: object) -> Result:
    study = make_study(
        root,
        n_images=16,
        spatial_dims=2,
        model={"weights": weights, **model},
        train={"epochs": 1, "compare_scratch": False},
    )
    options = ["--arm", "transfer", "--fold", "0"]
    return CliRunner().invoke(main, ["train", "--config", study.model_dump_json(), *options])


def test_a_name_is_a_start_and_its_entrance_is_sealed(shelf: Path, tmp_path: Path) -> None:
    describe(shelf, "toy")
    write_weights(tmp_path / "mine.pt")
    assert call("add", "toy", str(tmp_path / "mine.pt")).exit_code == 0
    result = train(tmp_path / "study", "toy")
    assert result.exit_code == 0, result.output
    seed = Layout(tmp_path / "study").seed("transfer", 0, seed=0)
    summary = json.loads((seed / "summary.json").read_text())
    assert summary["weights_source"] == "toy"
    assert summary["weights_match"] == 1
    assert summary["network_form"]["mean"] == [0.485, 0.456, 0.406]


def test_a_name_whose_file_is_not_here_says_how_to_get_it(shelf: Path, tmp_path: Path) -> None:
    result = train(tmp_path / "study", "resnet18-imagenet")
    assert result.exit_code == 8
    assert "must be on the shelf" in result.output
    assert "`medvision weights add resnet18-imagenet`" in result.output


def test_a_spoilt_file_on_the_shelf_is_refused_by_training(shelf: Path, tmp_path: Path) -> None:
    describe(shelf, "toy")
    write_weights(tmp_path / "mine.pt")
    call("add", "toy", str(tmp_path / "mine.pt"))
    (shelf / "toy" / "w.pt").write_bytes(b"spoilt")
    result = train(tmp_path / "study", "toy")
    assert result.exit_code == 8
    assert "w.pt: sha256 must be" in result.output


def test_another_study_becomes_a_source_that_keeps_its_entrance(
    shelf: Path, tmp_path: Path
) -> None:
    describe(shelf, "toy")
    write_weights(tmp_path / "mine.pt")
    call("add", "toy", str(tmp_path / "mine.pt"))
    train(tmp_path / "first", "toy")
    result = call("add", "first-study", str(tmp_path / "first"))
    assert result.exit_code == 0, result.output
    assert "benign, nodule" in call("show", "first-study").output
    result = train(tmp_path / "second", "first-study")
    assert result.exit_code == 0, result.output
    seeds = [Layout(tmp_path / name).seed("transfer", 0, seed=0) for name in ("first", "second")]
    forms = [json.loads((s / "summary.json").read_text())["network_form"] for s in seeds]
    assert forms[0] == forms[1] is not None
    assert call("add", "none", str(tmp_path / "first")).exit_code == 8


def test_too_few_tensors_leave_the_table_behind(shelf: Path, tmp_path: Path) -> None:
    describe(shelf, "toy")
    write_weights(tmp_path / "mine.pt")
    call("add", "toy", str(tmp_path / "mine.pt"))
    result = train(tmp_path / "study", "toy", backbone="resnet18")
    assert result.exit_code == 8
    assert "weights.tsv in the seed's folder has a row for every tensor" in result.output
    table = Layout(tmp_path / "study").seed("transfer", 0, seed=0) / "weights.tsv"
    assert "missing" in table.read_text()


def count_cpu_s() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("arguments", [["list"], ["show", "resnet18-imagenet"], ["verify"]])
def test_light_commands_stay_light(shelf: Path, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom medvision.cli.main import main\n"
        "try:\n    main(['weights', *sys.argv[1:]])\nexcept SystemExit as end:\n"
        "    assert not end.code\n"
        "assert not {'torch', 'monai', 'scipy', 'matplotlib'} & set(sys.modules)\n"
    )
    before = count_cpu_s()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    assert count_cpu_s() - before < 0.5
