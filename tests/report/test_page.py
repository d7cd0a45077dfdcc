"""A page is safe to open, complete, and true to its records."""

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

from counterveil.outcomes import OUTCOMES
from counterveil.record import (
    Answer,
    Disagreement,
    Output,
    Outputs,
    Rationale,
    Source,
    VeiledOutput,
)
from counterveil.report import view
from counterveil.report.render import source
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
    with_rationale,
    write,
)

VOID = {"meta", "img", "input", "br", "link", "rect", "line"}
RAW = ("style", "script")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}\u202egnp.exe\udcff\n"


class Reader(HTMLParser):
    """Reads a page as a browser would, and refuses what does not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.raw = dict.fromkeys(RAW, "")
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
        if self.open and self.open[-1] in RAW:
            self.raw[self.open[-1]] += data
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
            (one, sample_view() if one.outputs else None)
            for one in (make() for make in STATES.values())
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


def test_its_policy_allows_embedded_pictures_and_its_own_style_and_script_only(page):
    reader = Reader(page)
    policies = [a["content"] for a in reader.all("meta") if a.get("http-equiv")]
    style, script = (
        base64.b64encode(hashlib.sha256(reader.raw[name].encode()).digest()).decode()
        for name in RAW
    )
    assert policies == [
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
        f"script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    ]
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_it_has_one_script_no_inline_style_and_no_address(page):
    reader = Reader(page)
    names = {name for name, _ in reader.tags}
    assert not names & {"iframe", "object", "embed", "link", "base", "video"}
    assert reader.all("script") == [{}]
    for tag, attributes in reader.tags:
        assert not [a for a in attributes if a.startswith("on") or a == "style"], tag
    bare = re.sub(r"base64,[A-Za-z0-9+/=]*", "", page).replace(reader.raw["script"], "")
    assert not re.search(r"(https?:)?//[a-z]", bare)
    assert all(img["src"].startswith("data:image/") for img in reader.all("img"))
    assert "url(" not in reader.raw["style"] and "@import" not in reader.raw["style"]
    assert not re.search("innerHTML|outerHTML|insertAdjacent|eval|fetch|http", reader.raw["script"])


OUR_SCRIPT = hashlib.sha256(source("script.js").encode()).digest()


def test_a_hostile_name_stays_a_name(tmp_path):
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
        not_assessed=(HOSTILE,),
        status="partial",
        settings={HOSTILE: {HOSTILE: HOSTILE}},
    )
    folder = tmp_path / "out"
    write(folder, [(nasty, sample_view()), (failed(HOSTILE, HOSTILE), None)], title=HOSTILE)
    for path in (folder / "report.html", folder / "report" / "list.html"):
        page = path.read_text("utf-8")
        reader = Reader(page)
        assert reader.all("script") == [{}]
        assert hashlib.sha256(reader.raw["script"].encode()).digest() == OUR_SCRIPT
        assert len(reader.all("img")) == (4 if path.name == "report.html" else 0)
        assert all("onerror" not in attributes for _, attributes in reader.tags)
        assert "{{7*7}}" in reader.text
        assert "\u202e" not in page
        assert "<script>alert(1)</script>" in reader.text
        hrefs = [link["href"] for link in reader.all("a")]
        assert all(re.match(r"#|\./|\.\./report|report|list", href) for href in hrefs), hrefs
        assert not [href for href in hrefs if ":" in href]
    assert "./javascript%3Aalert%281%29//.veiled.png" in (folder / "report.html").read_text()


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


def test_every_outcome_shows_on_its_card_the_worst_first(page):
    cards = re.findall(r'class="card is-(\w+)', page)
    assert list(dict.fromkeys(cards)) == list(OUTCOMES)
    text = Reader(page).text
    assert all(each.title in text for each in OUTCOMES.values())
    for words in ("After the veil: Self-harm 83.0 %, threshold 50.0 %.", "not below",
                  "The model server closed the connection.", "Do not treat this file as safe.",
                  "28 of 30 frames were not assessed", "Yes, on the forearm.", "what is veiled",
                  "what is still visible", "not assessed: the server did not answer in time",
                  "The profile “pictograms” is for drawn scenes only", "were not kept",
                  "No picture: nothing was released", "The original is not shown",
                  SHA):  # fmt: skip
        assert words.lower() in text.lower(), words


def test_the_counts_come_first_and_lead_to_the_first_card_of_their_outcome(page):
    reader = Reader(page)
    assert "12 images, 9 flagged." in reader.text
    assert "1 file was not verified." in reader.text
    assert "These pages hold no original image." in reader.text
    links = [a["href"] for a in reader.all("a") if (a.get("class") or "").startswith("is-")]
    assert links == [f"report.html#i{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 12)]
    kinds = dict(re.findall(r'class="card is-(\w+)" id="(i\d+)"', page)[::-1])
    assert kinds.keys() == OUTCOMES.keys()
    assert [f"report.html#{kinds[key]}" for key in OUTCOMES] == links


def test_of_flagged_images_the_furthest_above_its_threshold_comes_first():
    scores = (0.7, 0.95, 0.8)
    page = html([(record(categories=(category(score=s),)), None) for s in scores])
    found = [page.index(f"<td>{100 * s:.1f} %") for s in sorted(scores, reverse=True)]
    assert found == sorted(found)


def test_pictures_are_concealed_until_asked_for(page):
    reader = Reader(page)
    style = reader.raw["style"]
    # Concealed by an attribute: pictures stay so where the style is not applied.
    assert reader.all("figure") == [{"hidden": None}] * 9
    shown = re.search(r"\n([^\n]*)\{display:block\}\n\.show:checked\+", style)[1].split(",")
    # The button of the page leaves out what is not verified; that is asked for one by one.
    assert shown == [
        ".show:checked~figure[hidden]",
        "body:has(#reveal:checked) .card:not(.is-not_verified) figure[hidden]",
    ]
    boxes = [a for a in reader.all("input") if a["type"] == "checkbox"]
    assert boxes and not [a for a in boxes if "checked" in a]
    cards = page.split("<article")[1:]
    assert sum("<img" in card for card in cards) == 9
    for card in cards:
        assert card.count("<img") == card[card.find("<figure") :].count("<img")
        assert card.count('class="pick show"') == ("<img" in card)
        assert card.count("with its unsafe regions veiled</span>") <= 1


def test_a_picture_has_an_alternative_text():
    alts = [image["alt"] for image in Reader(html([(record(), sample_view())])).all("img")]
    assert alts[0] == "a.png, with its unsafe regions veiled"
    assert all(alts) and len(set(alts)) == 4


def test_a_page_without_a_record_says_so():
    assert "No image." in Reader(html([])).text


def test_a_title_of_its_own():
    assert "<title>Case 7</title>" in html([], title="Case 7")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_contrasts_with_its_ground(page, theme):
    blocks = re.findall(r":root\{(.*?)\}", Reader(page).raw["style"])
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


def test_a_disagreement_is_seen_before_anything_is_unfolded():
    answers = (Answer("self_harm", "Are there marks?", "No.", 0.1, 0.1),)
    words = Rationale("x", "", answers, disagreements=(Disagreement("self_harm", True, 0, 1),))
    card = html([(record(rationale=words), None)]).split("<article")[1].partition("<details")[0]
    assert "Classifier and reasoner disagree." in card
    assert "the classifier flagged it at 97.0 %, but the model answers no" in card
    assert "disagree" not in html([(with_rationale(), None)]).split("<article")[1]


def test_what_the_profile_cannot_judge_stands_at_the_head():
    page = html([(record(not_covered="gestures; add <b>the profile hub</b>"), None)] * 2)
    assert page.count("Not assessed in any image: gestures; add &lt;b&gt;the profile hub") == 1
    assert "Not assessed in any image" not in html([(record(), None)])
