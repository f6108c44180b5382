"""Secrets never come out, whole or in pieces; everything else comes out unchanged."""

import base64
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.redact import Redactor
from sluicegate.secret_search import WINDOWS
from sluicegate.secret_shapes import REACH, SHAPES

KEY = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nMIIEow+/AB12==\n-----END RSA PRIVATE KEY-----"
TOKENS = [
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11AAAAAAA0" * 3,
    "glpat-" + "xY-9_zzzz.aaaaaaaaaa",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-proj-" + "abc123_-" * 5,
    "sk-ant-api03-" + "Zz09" * 10,
    "xoxb-123456789012-abcdefABCDEF",
    "xapp-1-A0000000-1234567890",
    "AIza" + "Sy0-_" * 7,
    "sgwt_" + "k3y" * 12,
    "sgop_" + "k3y" * 12,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    KEY,
    KEY.replace("\n", "\r\n"),
    KEY.replace("\n", "\\n"),
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("around", ["{}", "a {} b", '{{"token":"{}"}}', "export X={}\n", "ü{}ü"])
def test_token_shapes_are_replaced_whole(token: str, around: str) -> None:
    """H-13: token-shaped strings are replaced, and only they."""
    assert Redactor().text(around.format(token)) == around.format("[redacted]")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://u:pa55@h.org/x", "https://[redacted]@h.org/x"),
        ("https://ghost_token@h.org/x", "https://[redacted]@h.org/x"),
        ("redis://:pa55@h:6379/0", "redis://[redacted]@h:6379/0"),
        ("https://hooks.slack.com/services/T000/B000/XXXXXXXX", "https://[redacted]"),
    ],
)
def test_credentials_in_urls(text: str, clean: str) -> None:
    """H-13: URL userinfo goes, the address stays readable."""
    assert Redactor().text(text) == clean
    assert Redactor().text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "", "a plain line\n", "ssh://git@github.com/acme/a", "git@github.com:acme/a", "https://h.org/a@b:c",
        "task-sk-circle", "sk-spinner-with-a-long-name", "ghp_short", "myAKIAIOSFODNN7EXAMPLE0000",
        "eyJhbGci",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "commit 0123456789abcdef0123456789abcdef01234567", "a\tb\x00\udcff ü",
    ],
)  # fmt: skip
def test_other_text_is_left_alone(text: str) -> None:
    assert Redactor(["s3cret-value"]).text(text) == text


def test_an_unfinished_private_key_is_replaced_too() -> None:
    """A process killed in mid-key leaves no end marker; what was printed is secret all the same."""
    clean = Redactor().text("x\n-----BEGIN PRIVATE KEY-----\nMIIEow+/AB12\nZZ")
    assert "MIIE" not in clean
    assert clean.startswith("x\n[redacted]")


def test_known_values_in_every_dress() -> None:
    """70-31: the values of SECRET_ENV variables, in a URL, in JSON, in base64, line by line on a terminal."""
    environ = {"A": 'p"w+ ü/1', "B": "first line\nsecond line\n", "C": "abc", "EMPTY": ""}
    redactor = Redactor.from_environment(["A", "B", "C", "EMPTY", "MISSING"], environ)
    assert redactor.text('p"w+ ü/1') == "[redacted]"
    assert redactor.text("q=p%22w%2B%20%C3%BC%2F1&") == "q=[redacted]&"
    assert redactor.text("q=p%22w%2B+%C3%BC%2F1&") == "q=[redacted]&"
    assert redactor.text('{"x":"p\\"w+ ü/1"}') == '{"x":"[redacted]"}'
    assert redactor.text('{"x":"p\\"w+ \\u00fc/1"}') == '{"x":"[redacted]"}'
    assert redactor.text("key: cCJ3KyDDvC8x") == "key: [redacted]"
    assert redactor.text("> first line\r\n> second line\r\n") == "> [redacted]\r\n> [redacted]\r\n"
    assert redactor.text("abc") == "abc"  # too short to replace without blanking out every text


def test_the_longest_value_wins_and_a_copy_learns_alone() -> None:
    base = Redactor(["secret"])
    own = base.copy()
    own.add("secret-and-more")
    assert own.text("secret-and-more secret") == "[redacted] [redacted]"
    assert base.text("secret-and-more") == "[redacted]-and-more"


VALUES = ["hunter2", "hunter2-longer", "aaaa", "aaaaab", "with blank in it", "zwölf\nZeilen lang", "abcabd"]
FORMS = [
    *(value.encode() for value in VALUES),
    *(base64.b64encode(value.encode()) for value in VALUES),
    b"with%20blank%20in%20it", b"with+blank+in+it",
    b"zw%C3%B6lf%0AZeilen%20lang", b"zw%C3%B6lf%0AZeilen+lang",
    b"zw\xc3\xb6lf\\nZeilen lang", b"zw\\u00f6lf\\nZeilen lang", b"Zeilen lang",
]  # fmt: skip
PIECES = st.sampled_from(
    [*TOKENS, *VALUES, "hunter", "aaa", "abcabcabd", "ghp_", "eyJ", "-----BEGIN ",
     "-----BEGIN CERTIFICATE-----",
     "-----END CERTIFICATE-----", "https://", "http://u", ":p@", "://x:y@h ", "sk-", "AKIA", "x", " ",
     "\n", "-",
     "github_", "ü", "s", "/", "@", "BEGIN", "-----BEGIN RSA PRIVATE KEY-----\n",
     "xoxb-", "xapp-1", "gloas-", "hooks.slack.com/", "AIza", "sgwt_k3yk3y", "zw%C3", "%B6lf%0AZeilen%20lang",
     "." * (WINDOWS[1] - 3), "word " * (WINDOWS[0] // 5), "y" * (WINDOWS[0] - 9), "z" * 43]
)  # fmt: skip
SPLIT = st.lists(st.integers(0, 400) | st.integers(0, 4 * WINDOWS[0]), max_size=12)


def naively(data: bytes) -> bytes:
    """One pattern, tried at every byte: slow, and easy to believe."""
    forms = sorted(FORMS, key=len, reverse=True)
    everything = b"|".join([*map(re.escape, forms), *(shape.pattern for shape in SHAPES)])

    def instead(match: re.Match[bytes]) -> bytes:
        return b"://[redacted]@" if match.lastgroup == "user" else b"[redacted]"

    return re.sub(everything, instead, data)


def streamed(redactor: Redactor, data: bytes, cuts: Sequence[int]) -> bytes:
    stream = redactor.stream()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = [stream.feed(data[start:end]) for start, end in pairwise(places)]
    return b"".join([*out, stream.close()])


@settings(max_examples=400)
@given(pieces=st.lists(PIECES, max_size=14), cuts=SPLIT)
def test_a_stream_gives_what_the_whole_would_have_given(pieces: list[str], cuts: list[int]) -> None:
    """70-31, H-13: however output is split over chunks, the result is that of redacting it whole."""
    data = "".join(pieces).encode()
    redactor = Redactor(VALUES)
    assert redactor.data(data) == naively(data)
    assert streamed(redactor, data, cuts) == naively(data)


@pytest.mark.parametrize(
    "secret", [*TOKENS, *VALUES, "https://u:pa55@h.org/x", "redis://:pa55@h:6379/0", "http://ghost@h.org"]
)
def test_a_secret_may_be_split_anywhere(secret: str) -> None:
    """70-31: also when split over two chunks; or over as many as it has bytes."""
    data = f"a {secret} b".encode()
    redactor = Redactor(VALUES)
    expected = naively(data)
    assert secret.encode() not in expected
    for cut in range(len(data)):
        assert streamed(redactor, data, [cut]) == expected
    assert streamed(redactor, data, range(len(data))) == expected


@settings(max_examples=200)
@given(
    token=st.sampled_from(SHAPES).flatmap(
        lambda shape: st.from_regex(
            re.compile(shape.pattern.replace(b"(?<![A-Za-z0-9_])", b"")), fullmatch=True
        )
    ),
    before=st.binary(max_size=20),
    after=st.binary(max_size=20),
    cuts=SPLIT,
)
def test_whatever_has_a_shape_is_found(token: bytes, before: bytes, after: bytes, cuts: list[int]) -> None:
    """H-13: what is looked for first, and fast, hides nothing that a pattern would have found."""
    data = before + token + after
    assert streamed(Redactor(VALUES), data, cuts) == naively(data)


@settings(max_examples=100)
@given(value=st.text(min_size=4, max_size=60), before=st.binary(max_size=9), cut=st.integers(0, 80))
def test_whatever_a_value_is_made_of_it_is_found(value: str, before: bytes, cut: int) -> None:
    """H-13: any characters, in any encoding that is no text too."""
    redactor = Redactor([value])
    data = before + value.encode("utf-8", "surrogatepass") + before
    out = streamed(redactor, data, [cut])
    assert out == redactor.data(data)
    if redactor.knows_any and value.encode("utf-8", "surrogatepass").strip() not in b"[redacted]" + before:
        assert value.encode("utf-8", "surrogatepass") not in out


def test_byte_by_byte_and_over_the_reach() -> None:
    """Long runs without a blank are given out in bounded memory, and still hide what is in them."""
    data = (
        b"https://"
        + b"x" * (3 * REACH)
        + TOKENS[0].encode()
        + b"-----BEGIN "
        + b"y" * (2 * REACH)
        + b" hunter2"
    )
    redactor = Redactor(["hunter2"])
    stream = redactor.stream()
    out, most = b"", 0
    for start in range(0, len(data), 97):
        out += stream.feed(data[start : start + 97])
        most = max(most, start + 97 - len(out))
    assert out + stream.close() == redactor.data(data)
    assert most <= REACH + 2 * 97
    assert b"hunter2" not in redactor.data(data)


def test_ordinary_output_is_not_held_back() -> None:
    """A prompt without a newline must reach the reader at once."""
    stream = Redactor(["hunter2"]).stream()
    assert stream.feed(b"Continue? [y/n]") == b"Continue? [y/n]"
    assert stream.feed(b"pass h") == b"pass "
    assert stream.feed(b"i\n") == b"hi\n"


@pytest.mark.parametrize("secret", ["hunter2", "ghp_0123456789abcdefABCD", "with blank in it"])
def test_who_watches_sees_at_most_the_beginning_of_a_secret(secret: str) -> None:
    """L-14, 70-31: typed letter by letter, with a look after each: three bytes of it and the mark."""
    stream = Redactor(VALUES).stream()
    seen = b""
    for letter in f"x {secret}\n y":
        stream.feed(letter.encode())
        seen += stream.live + stream.peek(3)
    stream.close()
    assert seen + stream.live == f"x {secret[:3]}[redacted]\n y".encode()


@settings(max_examples=100)
@given(pieces=st.lists(PIECES, max_size=10), cuts=SPLIT, looks=st.lists(st.booleans(), max_size=14))
def test_a_look_shows_nothing_twice_and_changes_nothing(
    pieces: list[str], cuts: list[int], looks: list[bool]
) -> None:
    """L-14: the stream gives what it would have given; who watches sees that, and 3 bytes before a mark."""
    data = "".join(pieces).encode()
    redactor = Redactor(VALUES)
    stream, seen, out = redactor.stream(), b"", b""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for at, (start, end) in enumerate(pairwise(places)):
        out += stream.feed(data[start:end])
        seen += stream.live
        if at < len(looks) and looks[at]:
            seen += stream.peek(3)
    out += stream.close()
    seen += stream.live
    assert out == redactor.data(data)
    if b"[redacted]" not in out:
        assert seen == out
    assert len(seen) <= len(out) + 3 * out.count(b"[redacted]")


def test_what_is_typed_within_a_word_is_no_token() -> None:
    """A token begins at a word's beginning: `task-list` is echoed as it is typed."""
    stream = Redactor().stream()
    assert (
        b"".join(stream.feed(bytes([each])) for each in b"task-list.txt and mysk-1")
        == b"task-list.txt and mysk-1"
    )
