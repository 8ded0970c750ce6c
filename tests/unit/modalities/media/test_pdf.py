"""How many pages a PDF may have, also where its objects are packed."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.media.limits import MAX_PAGES
from aig.modalities.media.pdf import is_pdf, most_pages

PAGE = b"3 0 obj << /Type /Page /Parent 2 0 R >> endobj\n"
TREE = b"2 0 obj << /Type /Pages /Count %d /Kids [3 0 R] >> endobj\n"


def tree(kids: bytes, count: int) -> bytes:
    return b"2 0 obj << /Type /Pages /Kids [%b] /Count %d >> endobj\n" % (kids, count)


def made(*objects: bytes) -> bytes:
    return b"%PDF-1.7\n" + b"".join(objects) + b"%%EOF"


def packed(*objects: bytes, between: bytes = b"\r\n", form: bytes = b"/FlateDecode") -> bytes:
    content = zlib.compress(b"".join(objects))
    head = b"5 0 obj << /Filter %b /Type /ObjStm /N 1 /First 4 /Length %d >> stream" % (form, len(content))
    return head + between + content + b"\nendstream endobj\n"


@pytest.mark.parametrize(
    ("data", "pages"),
    [
        (made(TREE % 2, PAGE, PAGE), 2),
        (made(PAGE.replace(b"/Type /Page", b"/Type/Page")), 1),
        (made(PAGE.replace(b"/Type /Page ", b"/Type\r\n/Page>")), 1),
        (made(PAGE, PAGE, TREE % 1), 2),  # the count is no less than its objects
        (made(PAGE, b"4 0 obj << /Type /Outlines /Count 900 >> endobj"), 1),
        (made(TREE % 7), 7),
        (made(PAGE * 10_001), 10_000),
        (made(TREE % 7, TREE % 3), 7),
        (made(PAGE, packed(PAGE * 4, TREE % 5)), 5),
        (made(packed(PAGE, between=b"\n"), packed(PAGE)), 2),
        (made(packed(TREE % 30)), 30),
        (made(PAGE, b"<< /BaseFont /Times#20New >>"), 1),
        (made(tree(b"3 0 R " * 900, 900), PAGE), 900),
        (made(tree(b"3 0 R " * 900, 1), PAGE), 900),
        (made(tree(b"3 0 R\n3  0 R ", 1), packed(PAGE)), 2),
        (made(tree(b"8 0 R " * 30, 1), tree(b"3 0 R " * 30, 1), PAGE), 900),  # a list of lists
        (made(*[tree(b"3 0 R", 1)] * 50, PAGE), 50),
        (made(tree(b"3 0 R 4 0 R", 2), tree(b"3 0 R 4 0 R 6 0 R", 3), PAGE, PAGE, PAGE), 5),  # a revision
        (made(tree(b"3 0 R " * 5000, 1), PAGE), MAX_PAGES),  # lists alone are no ground to refuse
        (made(tree(b"3 0 R " * 5000, 5000), PAGE), 5000),
        (made(tree(b"3 0 R", 5000), PAGE), 5000),
        (made(tree(b"%b" % b"".join(b"%d 0 R " % kid for kid in range(10_001)), 1), PAGE), None),
        (made(tree(b"", 1) * 10_001, PAGE), None),
        (made(PAGE, b"4 0 obj << /Title (A heading) /Count 2000 /First 5 0 R /Last 6 0 R >> endobj"), 1),
        (made(PAGE, tree(b"3 0 R", 40).replace(b"/Kids", b"/First 5 0 R /Kids")), 40),
        (made(PAGE, b"4 0 obj << /Kids [] " + b" " * 2100 + b"/Count 7"), 7),
        (made(b"<< /K#69ds [3 0 R] >>", PAGE), None),
        (made(b"<< /Type /PageLabel /Type /Pages /Type /Page#41 >>"), None),
        (made(b"<< /Count -3 >>"), None),
        (made(b"<< /Count 0 >>"), None),
        (made(), None),
    ],
)
def test_pages(data: bytes, pages: int | None) -> None:
    assert is_pdf(data)
    assert most_pages(data) == pages


@pytest.mark.parametrize(
    "hidden",
    [
        packed(PAGE)[:-30],
        b"<< /Type /ObjStm >>",
        b"<< /Type /ObjStm >> stream\nno zlib endstream",
        packed(PAGE).replace(b"\nendstream", b"").replace(b"endobj", b""),
        packed(bytes(33 * 1024 * 1024)),
        packed(bytes(20 * 1024 * 1024)) * 2,
        b"<< /Type /ObjStm >> stream\n" + zlib.compress(PAGE * 99)[:-9] + b"endstream",
        b"<< /Type /P#61ge >>",
        b"<< /#54ype /Page >>",
        b"<< /Type /#4fbjStm >>",
        b"/F#41" * 10_000,
        b"/Count 1 " * 10_000,
        packed() * 10_001,
    ],
    ids=[
        "cut", "no stream", "another filter", "no end", "a bomb", "two bombs", "half", "a page in disguise",
        "a type in disguise", "a stream in disguise", "too many names", "too many counts",
        "too many streams",
    ],
)  # fmt: skip
def test_pages_that_may_hide(hidden: bytes) -> None:
    assert most_pages(made(PAGE, hidden)) is None


PIECES = [PAGE, packed(PAGE), b"/Kids [", b"3 0 R ", b"]", b"/Count 9", b"/ObjStm", b"stream", b"endstream", b"#61"]


@given(st.lists(st.sampled_from(PIECES) | st.binary()))
def test_any_bytes_have_pages_or_none(parts: list[bytes]) -> None:
    pages = most_pages(made(*parts))
    assert pages is None or pages > 0
