"""The page is safe to open, complete, and true to its records."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image as Pillow

from counterveil.record import Answer, Output, Outputs, Rationale, Source, VeiledOutput
from counterveil.report import Report, view
from counterveil.types import ModelInfo
from tests.report.samples import (
    SHA,
    STATES,
    animated,
    category,
    failed,
    html,
    partly_answered,
    pictures,
    record,
    unverified,
    with_rationale,
)

VOID = {"meta", "img", "input", "br", "link", "rect", "line"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}\u202egnp.exe\udcff\n"


class Reader(HTMLParser):
    """Reads a page as a browser would, and refuses what does not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.style = ""
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def sample_view():
    parts = pictures()
    return view(parts["veiled"], parts["mask"], [parts["attribution_map"]], parts["labels"])


def sample_pairs():
    return [
        *(
            (make(), None if name in ("failed", "not_assessed") else sample_view())
            for name, make in STATES.items()
        ),
        (animated(), sample_view()),
        (with_rationale(), sample_view()),
        (record(profile="pictograms"), None),
    ]


@pytest.fixture(scope="module")
def page():
    return html(sample_pairs(), created="2026-01-31T12:00:00.000Z")


def test_the_page_nests_and_its_ids_are_unique(page):
    reader = Reader(page)
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for label in reader.all("label"):
        assert label["for"] in ids


def test_its_policy_allows_embedded_pictures_and_its_own_style_only(page):
    reader = Reader(page)
    policies = [a["content"] for a in reader.all("meta") if a.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(reader.style.encode()).digest()).decode()
    assert policies == [
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    ]
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_it_has_no_script_no_inline_style_and_no_address(page):
    reader = Reader(page)
    names = {name for name, _ in reader.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "form", "base", "video"}
    for tag, attributes in reader.tags:
        assert not [a for a in attributes if a.startswith("on") or a == "style"], tag
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]*", "", page))
    assert all(img["src"].startswith("data:image/") for img in reader.all("img"))
    assert "url(" not in reader.style and "@import" not in reader.style


def test_a_hostile_name_stays_a_name():
    outputs = Outputs(
        VeiledOutput("javascript:alert(1)//.veiled.png", SHA, "black"), Output(HOSTILE, SHA)
    )
    nasty = record(
        source=Source(HOSTILE, SHA, 4, 3, HOSTILE),
        outputs=outputs,
        warnings=(HOSTILE,),
        profile=HOSTILE,
        rationale=Rationale(
            HOSTILE,
            HOSTILE,
            (Answer("x", HOSTILE, HOSTILE, 0.5, 0.1, True, HOSTILE),),
            {},
            HOSTILE,
            HOSTILE,
        ),
        models=(ModelInfo(HOSTILE, HOSTILE, HOSTILE),),
        created=HOSTILE,
        categories=(category(title=HOSTILE),),
    )
    page = html([(nasty, sample_view()), (failed(HOSTILE, HOSTILE), None)], title=HOSTILE)
    reader = Reader(page)
    assert not reader.all("script")
    assert len(reader.all("img")) == 4
    assert all("onerror" not in attributes for _, attributes in reader.tags)
    assert "{{7*7}}" in reader.text
    assert "\u202e" not in page
    assert "<script>alert(1)</script>" in reader.text
    hrefs = [link["href"] for link in reader.all("a")]
    assert all(href.startswith("./") and ":" not in href for href in hrefs)
    page.encode("utf-8")


def embedded(page: str) -> dict[str, np.ndarray]:
    """The page's pictures, ``(H, W, 4)`` each, by what they are."""
    found = {}
    for image in Reader(page).all("img"):
        data = base64.b64decode(image["src"].partition(",")[2])
        with Pillow.open(io.BytesIO(data)) as picture:
            found[image["class"]] = np.asarray(picture.convert("RGBA"))
    return found


def worst_case(map_of, labels_of):
    """Pictures of a page whose map and regions follow the original pixel by pixel."""
    parts = pictures()
    grey = parts["original"].mean(axis=-1)
    shown = view(parts["veiled"], parts["mask"], [map_of(grey)], labels_of(grey))
    return parts, embedded(html([(record(), shown)]))


def mask_interior(mask: np.ndarray) -> np.ndarray:
    inner = np.zeros_like(mask)
    inner[24:36, 34:56] = True
    assert mask[inner].all()
    return inner


def test_no_pixel_of_the_original_is_in_the_veiled_picture():
    parts = pictures()
    shown = embedded(html([(record(), sample_view())]))["base"][..., :3]
    assert parts["original"][parts["mask"]].max() > 200
    assert shown[mask_interior(parts["mask"])].max() <= 8, "something shows through the veil"


def test_no_overlay_draws_what_is_hidden_even_if_its_inputs_do():
    parts, shown = worst_case(
        lambda grey: grey.astype(np.float32), lambda grey: (grey > 127).astype(np.int32)
    )
    hidden = mask_interior(parts["mask"])
    grey = parts["original"].mean(axis=-1)[hidden]
    assert set(shown) == {"base", "layer heat", "layer regions", "layer mask"}
    for name, overlay in shown.items():
        rows = np.arange(60) * overlay.shape[0] // 60
        columns = np.arange(80) * overlay.shape[1] // 80
        inside = overlay[rows[:, None], columns][hidden].astype(float)
        for channel in inside.T:
            alike = 0 if np.ptp(channel) == 0 else abs(np.corrcoef(channel, grey)[0, 1])
            assert alike < 0.4, f"{name} follows the pixels that are hidden: {alike:.2f}"
    assert not shown["layer regions"][hidden][:, 3].any(), "a boundary inside the veil"
    assert (shown["layer mask"][..., 3] > 0).tolist() == parts["mask"].tolist()


def test_originals_that_differ_only_under_the_veil_give_the_same_page():
    parts = pictures()
    pages = []
    for seed in (0, 1):
        noise = np.random.default_rng(seed).integers(0, 2, parts["mask"].shape)
        labels = np.where(parts["mask"], noise, parts["labels"] + 2).astype(np.int32)
        shown = view(parts["veiled"], parts["mask"], [parts["attribution_map"]], labels)
        pages.append(html([(record(), shown)], created="2026-01-31T12:00:00.000Z"))
    assert pages[0] == pages[1]


def test_every_state_shows_on_its_card(page):
    cards = re.findall(r'class="card is-(\w+)', page)
    assert set(cards) == set(STATES)
    text = Reader(page).text
    for words in ("Not assessed", "Veiled as a whole", "Do not treat this file as safe.",
                  "Clean", "Assessed in part", "Yes, on the forearm.", "what is veiled",
                  "what is still visible", "not assessed: the server did not answer in time",
                  "The profile “pictograms” is for drawn scenes only", "picture is left out",
                  "No picture: nothing was released", SHA):  # fmt: skip
        assert words in text, words


def test_the_counts_come_first_and_are_right(page):
    text = Reader(page).text
    assert "8 of 10 files examined; 7 flagged." in text
    assert "1 file was not verified." in text
    assert "This page holds no original image." in text


def test_a_filter_appears_only_where_it_shows_a_record():
    ids = [a.get("id") for a in Reader(html([(failed(), None)])).all("input")]
    assert ids == ["show-all", "show-failed", "conceal"]


def test_every_filter_has_a_style_rule_and_a_card(page):
    reader = Reader(page)
    for field in reader.all("input"):
        if field["id"].startswith("show-") and field["id"] != "show-all":
            key = field["id"].removeprefix("show-")
            assert f"#show-{key}:checked~main .card:not(.in-{key})" in reader.style
            assert f" in-{key}" in page


def test_an_unverified_image_is_concealed_until_asked_for():
    page = html([(unverified(), sample_view())])
    assert 'id="i1-reveal"' in page
    assert ".is-not_verified .stage img{visibility:hidden}" in Reader(page).style
    assert "i1-reveal" not in html([(record(), sample_view())])


def test_a_picture_has_an_alternative_text():
    alts = [image["alt"] for image in Reader(html([(record(), sample_view())])).all("img")]
    assert alts[0] == "a.png, with its unsafe regions veiled"
    assert all(alts) and len(set(alts)) == 4


def test_a_long_report_leaves_pictures_out_and_says_so():
    reader = Reader(html([(record(), sample_view())] * 5, pictures=2))
    assert len([i for i in reader.all("img") if i["class"] == "base"]) == 2
    assert reader.text.count("picture is left out") == 3
    assert "5 of 5 files examined" in reader.text


def test_an_interrupted_report_leaves_nothing(tmp_path):
    (tmp_path / "r.html").write_text("before")
    with pytest.raises(RuntimeError), Report(tmp_path / "r.html") as report:
        report.add(record(), sample_view())
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert (tmp_path / "r.html").read_text() == "before"


def test_a_page_without_a_record_says_so():
    assert "No record." in Reader(html([])).text


def test_a_title_of_its_own(tmp_path):
    assert "<title>Case 7</title>" in html([], title="Case 7")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_contrasts_with_its_ground(page, theme):
    blocks = re.findall(r":root\{(.*?)\}", Reader(page).style)
    colours = dict(re.findall(r"--([\w-]+):(#\w+)", blocks[0] if theme == "light" else blocks[1]))
    pairs = [("ink", "page"), ("ink", "card"), ("faint", "page"), ("faint", "card"),
             ("go", "card"), ("stop", "card"), ("mind", "card"), ("ink", "mind-bg"),
             ("ink", "stop-bg"), ("focus", "card"), ("faint", "blank"),
             ("page", "ink")]  # fmt: skip
    low = {pair: ratio for pair in pairs if (ratio := contrast(*(colours[c] for c in pair))) < 4.5}
    assert not low


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio; AA asks 4.5 of text."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_time_is_shown_once():
    """The total includes the stages."""
    stages = {"search": 300.0, "release": 100.0}
    for timing, shown in ((stages | {"total": 450.0}, "450 ms"), (stages, "400 ms")):
        page = html([(record(timing_ms=timing), None)])
        assert f"profile custom, {shown}" in Reader(page).text


def test_a_reasoner_is_named_without_its_address():
    text = Reader(html([(partly_answered(), None)])).text
    assert "Written by qwen." in text
    assert "vlm.internal" not in text


def test_answers_with_yes_come_first_then_those_not_assessed():
    page = html([(with_rationale(), None)])
    assert re.findall(r'<tr class="(yes|no|not_assessed)">', page) == [
        *("yes", "yes", "not_assessed", "no")
    ]


def test_a_name_in_a_record_stays_as_it_is():
    assert "faces" in Reader(html([(replace(record(), profile="faces"), None)])).text
