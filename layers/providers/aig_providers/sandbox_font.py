"""The letters of `sandbox/image`: five by eight pixels, the last row below the line. Pure.

Drawn for it, so that no library of fonts and pictures has to travel to Lambda for a test picture.
"""

# Sixteen letters a band, in the order of ASCII; behind the last the box that stands for what is not in it.
_BANDS = (
    """
..... ..o.. .o.o. .o.o. ..o.. oo..o .oo.. ..o.. ...o. .o... ..... ..... ..... ..... ..... ....o
..... ..o.. .o.o. .o.o. .oooo oo..o o..o. ..o.. ..o.. ..o.. ..o.. ..o.. ..... ..... ..... ....o
..... ..o.. .o.o. ooooo o.o.. ...o. o.o.. .o... .o... ...o. o.o.o ..o.. ..... ..... ..... ...o.
..... ..o.. ..... .o.o. .ooo. ..o.. .o... ..... .o... ...o. .ooo. ooooo ..... ooooo ..... ..o..
..... ..o.. ..... ooooo ..o.o .o... o.o.o ..... .o... ...o. o.o.o ..o.. ..... ..... ..... .o...
..... ..... ..... .o.o. oooo. o..oo o..o. ..... ..o.. ..o.. ..o.. ..o.. ..o.. ..... .oo.. o....
..... ..o.. ..... .o.o. ..o.. o..oo .oo.o ..... ...o. .o... ..... ..... ..o.. ..... .oo.. o....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .o... ..... ..... .....
""",
    """
.ooo. ..o.. .ooo. ooooo ...o. ooooo ..oo. ooooo .ooo. .ooo. ..... ..... ...o. ..... .o... .ooo.
o...o .oo.. o...o ...o. ..oo. o.... .o... ....o o...o o...o .oo.. .oo.. ..o.. ..... ..o.. o...o
o..oo ..o.. ....o ..o.. .o.o. oooo. o.... ...o. o...o o...o .oo.. .oo.. .o... ooooo ...o. ....o
o.o.o ..o.. ...o. ...o. o..o. ....o oooo. ..o.. .ooo. .oooo ..... ..... o.... ..... ....o ...o.
oo..o ..o.. ..o.. ....o ooooo ....o o...o .o... o...o ....o .oo.. .oo.. .o... ooooo ...o. ..o..
o...o ..o.. .o... o...o ...o. o...o o...o .o... o...o ...o. .oo.. ..o.. ..o.. ..... ..o.. .....
.ooo. .ooo. ooooo .ooo. ...o. .ooo. .ooo. .o... .ooo. .oo.. ..... ..o.. ...o. ..... .o... ..o..
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .o... ..... ..... ..... .....
""",
    """
.ooo. .ooo. oooo. .ooo. oooo. ooooo ooooo .ooo. o...o .ooo. ..ooo o...o o.... o...o o...o .ooo.
o...o o...o o...o o...o o...o o.... o.... o...o o...o ..o.. ...o. o..o. o.... oo.oo oo..o o...o
o.ooo o...o o...o o.... o...o o.... o.... o.... o...o ..o.. ...o. o.o.. o.... o.o.o o.o.o o...o
o.o.o ooooo oooo. o.... o...o oooo. oooo. o.ooo ooooo ..o.. ...o. oo... o.... o.o.o o..oo o...o
o.oo. o...o o...o o.... o...o o.... o.... o...o o...o ..o.. ...o. o.o.. o.... o...o o...o o...o
o.... o...o o...o o...o o...o o.... o.... o...o o...o ..o.. o..o. o..o. o.... o...o o...o o...o
.oooo o...o oooo. .ooo. oooo. ooooo o.... .oooo o...o .ooo. .oo.. o...o ooooo o...o o...o .ooo.
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
""",
    """
oooo. .ooo. oooo. .oooo ooooo o...o o...o o...o o...o o...o ooooo .ooo. o.... .ooo. ..o.. .....
o...o o...o o...o o.... ..o.. o...o o...o o...o o...o o...o ....o .o... o.... ...o. .o.o. .....
o...o o...o o...o o.... ..o.. o...o o...o o...o .o.o. .o.o. ...o. .o... .o... ...o. o...o .....
oooo. o...o oooo. .ooo. ..o.. o...o o...o o.o.o ..o.. ..o.. ..o.. .o... ..o.. ...o. ..... .....
o.... o.o.o o.o.. ....o ..o.. o...o o...o o.o.o .o.o. ..o.. .o... .o... ...o. ...o. ..... .....
o.... o..o. o..o. ....o ..o.. o...o .o.o. oo.oo o...o ..o.. o.... .o... ....o ...o. ..... .....
o.... .oo.o o...o oooo. ..o.. .ooo. ..o.. o...o o...o ..o.. ooooo .ooo. ....o .ooo. ..... .....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ooooo
""",
    """
.o... ..... o.... ..... ....o ..... ..ooo ..... o.... ..o.. ...o. o.... .oo.. ..... ..... .....
..o.. ..... o.... ..... ....o ..... .o... ..... o.... ..... ..... o.... ..o.. ..... ..... .....
...o. .ooo. oooo. .oooo .oooo .ooo. oooo. .oooo oooo. .oo.. ..oo. o..o. ..o.. oo.o. oooo. .ooo.
..... ....o o...o o.... o...o o...o .o... o...o o...o ..o.. ...o. o.o.. ..o.. o.o.o o...o o...o
..... .oooo o...o o.... o...o ooooo .o... o...o o...o ..o.. ...o. oo... ..o.. o.o.o o...o o...o
..... o...o o...o o.... o...o o.... .o... .oooo o...o ..o.. ...o. o.o.. ..o.. o.o.o o...o o...o
..... .oooo oooo. .oooo .oooo .oooo .o... ....o o...o .ooo. o..o. o..o. .ooo. o.o.o o...o .ooo.
..... ..... ..... ..... ..... ..... ..... .ooo. ..... ..... .oo.. ..... ..... ..... ..... .....
""",
    """
..... ..... ..... ..... .o... ..... ..... ..... ..... ..... ..... ...oo ..o.. oo... ..... ooooo
..... ..... ..... ..... .o... ..... ..... ..... ..... ..... ..... ..o.. ..o.. ..o.. ..... o...o
oooo. .oooo o.oo. .oooo oooo. o...o o...o o...o o...o o...o ooooo ..o.. ..o.. ..o.. .o... o...o
o...o o...o oo..o o.... .o... o...o o...o o...o .o.o. o...o ...o. .o... ..o.. ...o. o.o.o o...o
o...o o...o o.... .ooo. .o... o...o o...o o.o.o ..o.. o...o ..o.. ..o.. ..o.. ..o.. ...o. o...o
oooo. .oooo o.... ....o .o... o...o .o.o. o.o.o .o.o. .oooo .o... ..o.. ..o.. ..o.. ..... o...o
o.... ....o o.... oooo. ..ooo .oooo ..o.. .o.o. o...o ....o ooooo ...oo ..o.. oo... ..... ooooo
o.... ....o ..... ..... ..... ..... ..... ..... ..... .ooo. ..... ..... ..... ..... ..... .....
""",
)


def _glyphs() -> dict[str, tuple[bytes, ...]]:
    """The rows of each letter, a byte a pixel (1 is ink), with the gap to the next letter and that to the next line."""
    rows = [[row.split(" ") for row in band.strip().splitlines()] for band in _BANDS]
    letters = [glyph for band in rows for glyph in zip(*band, strict=True)]
    drawn = [tuple(bytes(dot == "o" for dot in f"{row}.") for row in (*glyph, ".....")) for glyph in letters]
    return {chr(32 + at): glyph for at, glyph in enumerate(drawn)}


GLYPHS = _glyphs()
BOX = chr(127)
WIDTH, HEIGHT = 6, 9  # with the gaps
