"""Reports of many images, and of runs that were cut off."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterveil.record import Answer, Rationale, Source
from counterveil.report import Report, view
from counterveil.report.layout import MAX_BYTES, MAX_IMAGES, relative
from tests.report.samples import (
    SHA,
    category,
    failed,
    not_flagged,
    record,
    unverified,
    with_rationale,
    write,
)
from tests.report.test_page import Reader

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def named(name, made):
    source = replace(made.source, name=name)
    return replace(made, source=source, output_name=Path(name).stem)


def noise(seed=0):
    """Pictures that take as many bytes as any."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (400, 400, 3), np.uint8)
    mask = np.kron(rng.random((40, 40)) < 0.5, np.ones((10, 10))) > 0
    labels = (np.arange(400)[:, None] // 8 * 50 + np.arange(400) // 8).astype(np.int32)
    return view(image, mask, [rng.random((400, 400), np.float32)], labels)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """450 images: 10 not verified, 40 failed, 300 flagged, 100 clean."""
    folder = tmp_path_factory.mktemp("large")
    picture = noise()
    pairs = [(named(f"bad/{i}.png", unverified()), picture) for i in range(10)]
    pairs += [(failed(f"broken/{i}.png"), None) for i in range(40)]
    pairs += [(named(f"flagged/{i}.png", with_rationale()), picture) for i in range(300)]
    clean = record(categories=(not_flagged(),))
    pairs += [(named(f"clean/{i}.png", clean), None) for i in range(100)]
    write(folder, pairs[::-1])
    return folder


def pages(folder: Path) -> list[Path]:
    found = [folder / "report.html", *folder.glob("report/page-*.html")]
    return sorted(found, key=lambda path: int(re.sub(r"\D", "", path.name) or 1))


def names(path: Path) -> list[str]:
    return re.findall(r"</span> <bdi>(.*?)</bdi></h3>", path.read_text("utf-8"))


def test_pages_stay_small_and_hold_every_image_once(large):
    found = pages(large)
    assert len(found) > 3
    for path in (*found, large / "report" / "list.html"):
        assert path.stat().st_size <= MAX_BYTES
        Reader(path.read_text("utf-8"))
    counts = [len(names(path)) for path in found]
    assert sum(counts) == 450 and max(counts) <= MAX_IMAGES
    assert len({name for path in found for name in names(path)}) == 450
    order = [name.split("/")[0] for path in found for name in names(path)]
    assert list(dict.fromkeys(order)) == ["bad", "broken", "flagged", "clean"]


def test_a_page_ends_at_200_images(tmp_path):
    write(tmp_path, [(failed(f"{i:03}.png"), None) for i in range(201)])
    assert [len(names(path)) for path in pages(tmp_path)] == [200, 1]


def test_every_link_between_the_pages_leads_somewhere(large):
    readers = {
        path: Reader(path.read_text("utf-8"))
        for path in (*pages(large), large / "report" / "list.html")
    }
    ids = {path: {a.get("id") for _, a in reader.tags} for path, reader in readers.items()}
    for path, reader in readers.items():
        for href in {link["href"] for link in reader.all("a")}:
            target, _, part = href.partition("#")
            if target.endswith((".png", ".json")):
                assert target.startswith("./" if path.name == "report.html" else "../")
                continue
            file = (path.parent / target).resolve() if target else path
            assert file in ids, href
            assert not part or part in ids[file], href


def test_the_list_leads_to_the_card_of_an_image_on_another_page(large):
    third = pages(large)[2]
    wanted = names(third)[5]
    listed = (large / "report" / "list.html").read_text("utf-8")
    number = re.search(rf'<a href="{third.name}#(i\d+)"><bdi>{wanted}</bdi>', listed)[1]
    card = third.read_text("utf-8").split(f'id="{number}"')[1].split("</article>")[0]
    assert f"<bdi>{wanted}</bdi>" in card


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("query", "count"),
    [("self-harm%20FLAGGED/7", 11), ("not%20verified%20bad/3", 1), ("%", 450)],  # "%" is no query
)
def test_a_browser_finds_images_of_all_pages(large, query, count):
    shown = dom(large / "report" / "list.html", f"#q={query}")
    rows = re.findall(r"<li( hidden=\"\")?><a href", shown)
    assert (len(rows), rows.count("")) == (450, count)
    assert "hidden" not in re.search(r"<form[^>]*>", shown)[0], "the script did not run"


def test_without_scripts_there_is_no_search_box_but_a_list(large):
    page = (large / "report.html").read_text("utf-8")
    assert "hidden" in re.search(r"<form[^>]*>", page)[0]
    assert '<a href="report/list.html">List of all images</a>' in page


def dom(path: Path, part: str) -> str:
    """The page as Chromium has it after its script ran."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, path.as_uri() + part], capture_output=True, timeout=120, check=True
    )
    return done.stdout.decode("utf-8")


def test_a_card_too_large_for_a_page_leaves_its_details_to_the_record(tmp_path):
    answers = tuple(Answer("self_harm", f"Question {i}? ", "Yes. " * 99, 0.9) for i in range(200))
    long = record(
        source=Source("n" * 9000, SHA, 4, 3),
        status="partial",
        rationale=Rationale("x" * 9000, "", answers, {}, "blip", "y" * 9000),
        categories=tuple(category(key=f"k{i}", title="t" * 9000) for i in range(50)),
        warnings=("w" * 9000,) * 50,
        settings={f"s{i}": "v" * 9000 for i in range(50)},
        not_assessed=("g" * 9000,) * 50,
    )
    pairs = [(long, noise()), (failed("a.png", "e" * 3_000_000), None)]
    write(tmp_path, pairs * 12)
    for path in (*pages(tmp_path), *tmp_path.glob("report/list*.html")):
        assert path.stat().st_size <= MAX_BYTES
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("too long for this page") == 12 and 'href="./n0.json"' in page


def test_a_list_too_long_for_a_page_goes_on_in_the_next(tmp_path):
    long = "x" * 3900
    write(tmp_path, [(failed(f"{i}{long}.png"), None) for i in range(501)])
    lists = [tmp_path / "report" / name for name in ("list.html", "list-2.html")]
    texts = [path.read_text("utf-8") for path in lists]
    assert sum(text.count("<li><a ") for text in texts) >= 501
    assert all(path.stat().st_size <= MAX_BYTES for path in lists)
    assert '<a id="more" href="list-2.html">' in texts[0]
    assert 'id="more"' not in texts[1]


def test_the_cards_of_an_interrupted_run_are_kept(tmp_path):
    report = Report(tmp_path)
    report.add(named("a.png", record()), noise())
    report.add(named("b.png", failed()))
    with (tmp_path / "report" / "cards.jsonl").open("r+b") as file:
        whole = file.read()
        file.truncate(len(whole) - 7)  # the crash tore the last line
    again = Report(tmp_path)
    assert again.names() == {"a"}
    again.add(named("c.png", record()))
    again.add(named("b.png", record()))
    again.write()
    assert sorted(names(tmp_path / "report.html")) == ["a.png", "b.png", "c.png"]
    assert (tmp_path / "report.html").read_text().count("data:image/webp") == 1


def test_the_last_card_under_a_name_counts(tmp_path):
    report = Report(tmp_path)
    report.add(named("a.png", failed()))
    report.add(named("a.png", record()))
    page = report.write().read_text()
    assert "1 image, 1 flagged" in Reader(page).text
    assert "is-failed" not in page.split("</style>")[1]


def test_a_line_of_no_card_is_ignored(tmp_path):
    report = Report(tmp_path)
    report.add(record())
    path = tmp_path / "report" / "cards.jsonl"
    old = path.read_bytes().replace(b'"schema_version": "1.', b'"schema_version": "0.')
    path.write_bytes(
        path.read_bytes()
        + old.replace(b'"output_name": "a"', b'"output_name": "b"')
        + b'\0\0\n5\n{}\n"\xff"\n'
    )
    assert report.names() == {"a"}


def test_only_the_images_that_are_asked_for_are_shown(tmp_path):
    write(tmp_path, [(named(f"{i}.png", record()), None) for i in range(3)])
    Report(tmp_path).write(["n0", "n2", "n9"])
    assert sorted(names(tmp_path / "report.html")) == ["0.png", "2.png"]


def test_a_shorter_report_leaves_no_page_of_the_longer_one(tmp_path):
    write(tmp_path, [(failed(f"{i}.png"), None) for i in range(401)])
    (tmp_path / "report" / "list-2.html").write_text("old")
    assert len(pages(tmp_path)) == 3
    Report(tmp_path).write(["n1"])
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == ["cards.jsonl", "list.html"]
    Report(tmp_path).clear()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nothing_of_the_original_is_in_the_file_of_the_cards(tmp_path):
    """Originals that differ only under the veil give the same cards."""
    files = []
    for seed in (0, 1):
        original = np.full((60, 80, 3), 90, np.uint8)
        mask = np.zeros((60, 80), bool)
        mask[20:40, 30:60] = True
        original[mask] = np.random.default_rng(seed).integers(0, 256, (mask.sum(), 3))
        veiled = np.where(mask[..., None], np.uint8(0), original)
        labels = np.where(mask, original[..., 0] > 127, 2).astype(np.int32)
        folder = tmp_path / str(seed)
        Report(folder).add(record(), view(veiled, mask, labels=labels))
        files.append((folder / "report" / "cards.jsonl").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("path", "origin", "address"),
    [
        ("report/page-2.html", "report.html", "report/page-2.html"),
        ("report.html", "report.html", "report.html"),
        ("report.html#i4", "report/page-2.html", "../report.html#i4"),
        ("report/list.html", "report/page-2.html", "list.html"),
    ],
)
def test_an_address_is_relative_to_its_page(path, origin, address):
    assert relative(path, origin) == address


def test_models_and_settings_stand_once_on_a_page(tmp_path):
    shared = {"search": "minimal", "max_frames": 8}
    records = [record(settings=shared)] * 3 + [record(settings=shared | {"max_frames": 1})]
    page = write(tmp_path, [(one, None) for one in records]).read_text("utf-8")
    assert page.count('<section class="settings"') == 2
    assert len(re.findall(r'href="#s[0-9a-f]{12}"', page)) == 4
