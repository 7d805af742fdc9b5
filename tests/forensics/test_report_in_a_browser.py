"""The report of a case as a person reads it, in a real browser: all of it there, and nothing of it alive."""

import zipfile
from io import BytesIO

import pytest
from browser import browser

HOSTILE = "<script>document.title='owned'</script><img src='http://127.0.0.1:9/x' onerror='owned=1'>\"'&"


@pytest.fixture
def page(tmp_path):
    with browser(tmp_path / "profile") as found:
        yield found


@pytest.fixture
def report(world, tmp_path):
    first = world.seal("lab/ran", "ada")
    second = world.seal("lab/ran", "ada", parents=(first,))
    third = world.seal("lab/city", "bea", parents=(second,), components=(first,))
    world.alias("lab/ran", "stable", second, "ada")
    world.retrieve("lab/ran", second, "eve", cell="lab/cell-7", address="192.0.2.7")
    world.revoke("lab/ran", first, "ada", HOSTILE)
    world.publish()
    with zipfile.ZipFile(BytesIO(world.export())) as case:
        path = tmp_path / "report.html"
        path.write_bytes(case.read("report.html"))
    return path.as_uri(), (first, second, third)


def test_a_person_sees_every_event_the_timeline_and_the_lineage(world, page, report):
    url, versions = report
    page.open(url)
    assert page.value("document.querySelectorAll('table tr').length - 1") == len(world.rows())
    boxes = page.value(
        "[...document.querySelectorAll('svg[aria-label=lineage] g title')].map(t => t.textContent)"
    )
    assert sorted(boxes) == sorted(versions)
    marks = "document.querySelectorAll('svg[aria-label=timeline] circle').length"
    assert page.value(marks) == len(world.rows())
    hidden = (
        "[...document.querySelectorAll('svg, td, h1')].filter(e => !e.getBoundingClientRect().width).length"
    )
    assert page.value(hidden) == 0
    assert len(page.picture()) > 20_000, "an empty page is a picture of a few hundred bytes"


@pytest.mark.parametrize("width", [1280, 375])
def test_it_fits_a_screen_and_a_telephone(page, report, width):
    page.open(report[0], width)
    assert page.value("document.documentElement.scrollWidth") <= width


def test_what_a_member_wrote_into_it_stays_text(page, report):
    page.open(report[0])
    assert page.value("document.title") == "TwinLedger case"
    assert page.value("typeof owned") == "undefined"
    assert page.value("document.querySelectorAll('script, img, iframe, object, link').length") == 0
    assert HOSTILE in page.value("document.body.innerText")
    assert page.requests == [report[0]]
