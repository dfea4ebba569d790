"""Drawn pictures with words: pages, charts, slides, screens and subtitles."""

from __future__ import annotations

import numpy as np

from tools.training.canvas import (
    ALL,
    BLACK,
    COLS,
    MONO,
    ROWS,
    SANS,
    SERIF,
    WHITE,
    Box,
    Canvas,
    Colour,
    colour,
    fractal,
    letters,
    mixed,
    pair,
    paragraph,
    photo,
    ring,
    size_of_text,
    star,
    vivid,
    words_within,
)


def draw_page(canvas: Canvas) -> None:
    """A page in one or two columns, paragraphs of different sizes."""
    rng = canvas.rng
    paper, ink = pair(rng)
    canvas.pixels[:] = paper
    margin, columns, spacing = rng.uniform(4, 40), rng.choice((1, 1, 2)), rng.uniform(1.1, 1.6)
    font, usual = rng.choice(SANS + SERIF + MONO), size_of_text(rng, high=60 / columns)
    for column in range(columns):
        left, top = margin + column * COLS / columns, margin
        right = (column + 1) * COLS / columns - margin / columns
        while top < ROWS - margin:
            odd = rng.random() < 0.25
            size = size_of_text(rng, high=60 / columns) if odd else usual
            bottom = min(top + size * spacing * (1.5 if odd else rng.uniform(2, 9)), ROWS - margin)
            kind = rng.choice(SANS + SERIF) if odd else font
            top = max(paragraph(canvas, (left, top, right, bottom), kind, size, ink, spacing), bottom) + size / 2


def chart(canvas: Canvas, box: Box, paper: Colour, ink: Colour) -> None:
    """Lines, bars, points or a pie, with axes, a grid and labels."""
    rng, kind = canvas.rng, canvas.rng.choice(("lines", "bars", "points", "pie"))
    left, top, right, bottom = box[0] + 30, box[1] + 20, box[2] - 10, box[3] - 20
    width, height, series, count = right - left, bottom - top, rng.randint(1, 5), rng.randint(4, 24)
    hues, font = [vivid(rng) for _ in range(max(series, count))], rng.choice(SANS)
    canvas.view(box)[:] = paper
    canvas.text((left, box[1] + 2), words_within(rng, font, 12, width * 0.7), font, 12, ink)
    if kind == "pie":
        cuts = np.cumsum([0, *(rng.uniform(0.3, 1) for _ in range(rng.randint(2, 8)))])
        x, y, radius = (left + right) / 2, (top + bottom) / 2, min(width, height) / 2 - 4
        for hue, begin, end in zip(hues * 2, cuts / cuts[-1], cuts[1:] / cuts[-1], strict=False):
            slice_ = np.vstack([[[x, y]], ring(x, y, radius, radius, end - begin, begin)])
            canvas.polygon(slice_, hue)
            canvas.line(slice_, paper, 2, True)
        return
    faint = mixed(paper, ink, 1 / 4)
    for line in range(lines := rng.randint(3, 9)):
        y = top + height * line / lines
        canvas.view((left, round(y), right, round(y) + 1))[:] = faint
        canvas.text((box[0] + 2, y - 5), f"{(lines - line) * 10}", "DejaVuSans", 9, ink)
    xs = left + width * (np.arange(count) + 0.5) / count
    for number, hue in enumerate(hues[:series]):
        ys = bottom - height * (0.1 + 0.8 * fractal(rng, (1, count, 1), 1, 4, 0.7)[0])
        if kind == "lines":
            canvas.line(np.stack([xs, ys], -1), hue, rng.randint(1, 3))
        for x, y in zip(xs, ys, strict=True):
            if kind == "bars":
                begin, step = x - 0.4 * width / count, 0.8 * width / count / series
                canvas.view((begin + number * step, y, begin + (number + 1) * step, bottom))[:] = hue
            elif kind == "points":
                for _ in range(4):
                    canvas.polygon(ring(x + rng.gauss(0, 9), y + rng.gauss(0, 9), 3, 3), hue)
    canvas.line([(left, top), (left, bottom), (right, bottom)], ink)


def draw_charts(canvas: Canvas) -> None:
    """One chart, or four."""
    paper, ink = pair(canvas.rng)
    parts = canvas.rng.choice((1, 1, 2))
    width, height = COLS // parts, ROWS // parts
    for part in range(parts * parts):
        left, top = part % parts * width, part // parts * height
        chart(canvas, (left, top, left + width, top + height), paper, ink)


def draw_slide(canvas: Canvas) -> None:
    """A title, bullet points, and beside them a chart or something like a photo."""
    rng = canvas.rng
    paper, ink = pair(rng)
    canvas.pixels[:] = paper
    font, size, bullet = rng.choice(SANS + SERIF), rng.randint(22, 42), rng.randint(11, 24)
    if rng.random() < 0.5:
        band = vivid(rng)
        canvas.shade(
            (0, 0, COLS, size * 1.8), canvas.places((0, 0, COLS, size * 1.8))[1] / COLS, [band, rng.choice((band, ink))]
        )
    canvas.text((24, size * 0.3), words_within(rng, font, size, COLS - 48), font, size, rng.choice((ink, WHITE)))
    top, right = size * 2.2, rng.choice((COLS - 20.0, COLS * 0.55))
    while top < ROWS - 3 * bullet:
        canvas.polygon(ring(30, top + bullet * 0.6, bullet / 5, bullet / 5), ink)
        top = (
            paragraph(canvas, (42, top, right, top + bullet * rng.choice((1.4, 2.8))), font, bullet, ink) + bullet * 0.6
        )
    if right < COLS * 0.6:
        box = (right + 10, size * 2.2, COLS - 16, ROWS - 30)
        if rng.random() < 0.5:
            chart(canvas, box, paper, ink)
        else:
            photo(canvas, box)
    canvas.text((COLS - 40, ROWS - 18), f"{rng.randint(1, 99)}", font, 11, ink)


def code(canvas: Canvas, box: Box, paper: Colour, ink: Colour) -> None:
    """Lines of words in a few colours, indented, with numbers."""
    rng, font, size = canvas.rng, canvas.rng.choice(MONO), canvas.rng.randint(8, 15)
    hues = [ink, ink, *(colour(rng, (0.3, 1), (0.6, 1) if sum(paper) < sum(ink) else (0.2, 0.6)) for _ in range(4))]
    indent, top, number = 0, box[1] + 4, rng.randint(1, 900)
    while top + size * 1.3 < box[3]:
        canvas.text((box[0] + 4, top), f"{number:3d}", font, size, hues[-1])
        left = box[0] + size * (3 + 2 * indent)
        words = words_within(rng, font, size, max(box[2] - left, 0) * rng.random())
        for word in words.split():
            left = canvas.text((left, top), word + " ", font, size, rng.choice(hues))
        indent, top, number = max(0, min(4, indent + rng.randint(-1, 1))), top + size * 1.3, number + 1


def table(canvas: Canvas, box: Box, paper: Colour, ink: Colour) -> None:
    """Numbers and words in cells, every other row tinted."""
    rng, size, width = canvas.rng, canvas.rng.randint(8, 14), canvas.rng.randint(50, 110)
    tint, edge = (mixed(paper, other, 1 / 8) for other in (ink, vivid(rng)))
    for row, top in enumerate(np.arange(box[1], box[3] - size * 1.8, size * 1.8)):
        canvas.view((box[0], top, box[2], top + size * 1.8))[:] = tint if row % 2 else paper
        for left in np.arange(box[0], box[2] - width + 1, width):
            words = words_within(rng, SANS[row == 0], size, width - 8) if row == 0 else f"{rng.gauss(0, 500):.2f}"
            canvas.text((left + 4, top + 2), words, SANS[row == 0], size, ink)
            canvas.line([(left, top), (left, top + size * 1.8)], edge)


def form(canvas: Canvas, box: Box, paper: Colour, ink: Colour) -> None:
    """Labels with fields, buttons, boxes to tick, bars of progress and icons."""
    rng, accent, size = canvas.rng, vivid(canvas.rng), canvas.rng.randint(9, 14)
    for top in np.arange(box[1] + 6, box[3] - 2 * size - 6, 2 * size + 8):
        left, bottom, middle = box[0] + 8, top + 2 * size, (box[0] + box[2]) / 2
        kind = rng.choice(("field", "button", "tick", "progress", "icons"))
        if kind == "icons":
            for x in np.arange(left + size, box[2] - size, 3 * size):
                canvas.polygon(star(rng, x, top + size, size * 0.9), vivid(rng))
            continue
        canvas.text(
            (left + 2 * size, top + size / 2),
            words_within(rng, SANS[0], size, middle - left - 2 * size),
            SANS[0],
            size,
            ink,
        )
        if kind == "tick":
            canvas.frame((left, top + size / 2, left + size, top + size * 1.5), ink)
            canvas.line(
                [(left + 2, top + size), (left + size / 2, top + size * 1.3), (left + size, top + size / 2)], accent, 2
            )
        elif kind == "progress":
            canvas.view((middle, top + size * 0.7, box[2] - 8, top + size * 1.3))[:] = ink
            canvas.view((middle, top + size * 0.7, middle + (box[2] - 8 - middle) * rng.random(), top + size * 1.3))[
                :
            ] = accent
        else:
            canvas.frame((middle, top, box[2] - 8, bottom), ink, accent if kind == "button" else paper)
            words = words_within(rng, SANS[0], size, box[2] - middle - 20)
            canvas.text((middle + 6, top + size / 2), words, SANS[0], size, WHITE if kind == "button" else ink)


def terminal(canvas: Canvas, box: Box, paper: Colour, ink: Colour) -> None:
    """Commands and what they answer."""
    rng, size, top, font = canvas.rng, canvas.rng.randint(8, 14), box[1] + 3, canvas.rng.choice(MONO)
    while top + size * 1.3 < box[3]:
        left = canvas.text((box[0] + 4, top), "user@host:~$ ", font, size, (90, 200, 80))
        canvas.text((left, top), words_within(rng, font, size, max(box[2] - left, 0) * 0.7), font, size, ink)
        bottom = min(top + size * 1.3 * rng.randint(1, 6), box[3])
        top = max(
            paragraph(canvas, (box[0] + 4, top + size * 1.3, box[2] - 4, bottom), font, size, ink, 1.3),
            top + size * 1.3,
        )


def draw_screen(canvas: Canvas) -> None:
    """Windows over a desktop, or one over all of it."""
    rng = canvas.rng
    photo(canvas, ALL)
    if rng.random() < 0.5:
        canvas.pixels[:] = colour(rng)
    for _ in range(count := rng.randint(1, 4)):
        left, top = (0, 0) if count == 1 else (rng.randint(0, COLS // 2), rng.randint(0, ROWS // 2))
        right, bottom = (COLS, ROWS) if count == 1 else (left + rng.randint(200, 400), top + rng.randint(140, 300))
        (paper, ink), bar = pair(rng), colour(rng, (0, 0.5))
        canvas.frame((left, top, right, bottom), bar, paper)
        canvas.view((left, top, right, top + 20))[:] = bar
        canvas.text(
            (left + 8, top + 4), words_within(rng, SANS[1], 11, 120), SANS[1], 11, WHITE if sum(bar) < 380 else BLACK
        )
        for number, hue in enumerate([(80, 90, 250), (60, 190, 250), (70, 200, 60)]):
            canvas.polygon(ring(min(right, COLS) - 12 - 16 * number, top + 10, 5, 5), hue)
        box = (left + 2, top + 21, min(right, COLS) - 2, min(bottom, ROWS) - 2)
        rng.choice((code, table, form, terminal))(canvas, box, paper, ink)


def draw_subtitle(canvas: Canvas) -> None:
    """Subtitles, a logo and perhaps a banner over something like a photo."""
    rng, font, size = canvas.rng, canvas.rng.choice(SANS), canvas.rng.randint(14, 34)
    photo(canvas, ALL)
    if rng.random() < 0.4:
        canvas.view((0, 290, COLS, 372))[:] = vivid(rng)
        canvas.view((0, 290, 90, 316))[:] = WHITE
        canvas.text((8, 294), "LIVE", SANS[1], 16, (30, 30, 200))
    for number in range(lines := rng.randint(1, 2)):
        words = words_within(rng, font, size, rng.uniform(200, 480))
        left, top = (COLS - letters(font, size).getlength(words)) / 2, 368 - 1.25 * size * (lines - number)
        canvas.text((left, top), words, font, size, rng.choice((WHITE, WHITE, (0, 230, 255))), BLACK)
    for x, y in rng.sample([(50, 45), (462, 45), (50, 250)], rng.randint(1, 2)):
        canvas.polygon(ring(x, y, 36, rng.randint(18, 36)), vivid(rng))
        canvas.polygon(star(rng, x, y, 17), rng.choice((WHITE, BLACK, vivid(rng))))
        canvas.text((x - 25, y + 8), words_within(rng, SANS[1], 15, 60), SANS[1], 15, WHITE, rng.choice((None, BLACK)))
