"""Drawn pictures of shapes: cartoons, gradients, test patterns, maps and nearly empty ones."""

from __future__ import annotations

from math import tau

import cv2
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
    colour,
    curve,
    fractal,
    pair,
    place,
    ring,
    size_of_text,
    star,
    vivid,
    words_within,
)


def draw_shapes(canvas: Canvas) -> None:
    """Flat shapes with outlines and soft shadows, and curves."""
    rng, outline = canvas.rng, canvas.rng.choice((BLACK, BLACK, WHITE, vivid(canvas.rng)))
    canvas.shade(ALL, canvas.places(ALL)[0] / ROWS, [vivid(rng), vivid(rng)])
    canvas.polygon(np.vstack([ring(COLS / 2, ROWS, COLS, rng.uniform(50, 250), wobble=0.05)]), vivid(rng))
    width, shadows = rng.choice((0, 1, 2, 3, 5)), rng.random() < 0.5
    for _ in range(rng.randint(5, 25)):
        (x, y), radius = place(rng), rng.uniform(8, 90)
        points = rng.choice(
            (ring(x, y, radius, radius * rng.uniform(0.4, 1), wobble=rng.choice((0, 0.08))), star(rng, x, y, radius))
        )
        if shadows:
            mask = np.zeros_like(canvas.pixels)
            cv2.fillPoly(mask, [np.rint((points + 8) * canvas.scale).astype(np.int32)], WHITE)
            mask = cv2.GaussianBlur(mask, (0, 0), 5 * canvas.scale)
            canvas.pixels[:] = np.rint(canvas.pixels * (1 - mask / 255 * 0.5))
        canvas.polygon(points, vivid(rng) if rng.random() < 0.8 else rng.choice((BLACK, WHITE)))
        if width:
            canvas.line(points, outline, width, True)
    for _ in range(rng.randint(0, 8)):
        canvas.line(curve(rng), rng.choice((outline, vivid(rng))), rng.choice((1, 2, 4, 10)))


def draw_gradient(canvas: Canvas) -> None:
    """Linear, radial or turning, smooth or in steps, sometimes with faint noise; perhaps with boxes of others."""
    rng = canvas.rng
    boxes = [ALL] + [
        (x - 90, y - 70, x + 90, y + 70) for x, y in (place(rng, 90) for _ in range(rng.choice((0, 0, 3))))
    ]
    for box in boxes:
        down, right = canvas.places(box)
        x, y = place(rng)
        angle, kind = tau * rng.random(), rng.choice(("linear", "linear", "radial", "turning"))
        weights = right * np.cos(angle) + down * np.sin(angle)
        if kind != "linear":
            weights = np.hypot(right - x, down - y) if kind == "radial" else np.abs(np.arctan2(down - y, right - x))
        weights = (weights - weights.min()) / np.ptp(weights)
        if rng.random() < 0.15:
            weights = np.floor(weights * (steps := rng.randint(4, 24))) / steps
        spread = rng.choice(((0.0, 1.0), (0.0, 0.4), (0.3, 1.0), (0.6, 1.0)))
        stops = [colour(rng, (0, 1), spread) for _ in range(rng.randint(2, 4))]
        canvas.shade(box, weights, stops, rng.choice((0, 0, 0, 0.5, 1.0)))


def pattern(canvas: Canvas, box: Box) -> None:
    """Bars, rings, a checkerboard, stairs, a ruler or hatching."""
    rng = canvas.rng
    down, right = canvas.places(box)
    width, height = box[2] - box[0], box[3] - box[1]
    kind = rng.choice(("bars", "rings", "checks", "stairs", "ruler", "hatching", "waves"))
    pitch, angle, colours = size_of_text(rng, 2, 40), rng.choice((0, 0.25, rng.random())) * tau, [BLACK, WHITE]
    across = right * np.cos(angle) + down * np.sin(angle)
    if rng.random() < 0.4:
        colours = list(pair(rng))
    if kind == "bars":
        level = rng.choice((191, 255))
        colours = [(level * (n >> 1 & 1), level * (n >> 2 & 1), level * (n & 1)) for n in (7, 5, 6, 4, 3, 1, 2, 0)]
        weights = np.floor(right / width * 8) / 7
    elif kind == "rings":
        x, y = width * rng.choice((0, 0.5)), height * rng.choice((0, 0.5))
        far = (width - x) ** 2 + (height - y) ** 2
        weights = 0.5 + 0.5 * np.cos(
            tau * rng.uniform(0.05, 0.35) * ((right - x) ** 2 + (down - y) ** 2) / far**0.5 / 2
        )
    elif kind == "checks":
        weights = (right // pitch + down // pitch) % 2
    elif kind == "stairs":
        steps = rng.choice((8, 11, 16, 32))
        weights = np.floor(rng.choice((right / width, down / height)) * steps) / (steps - 1)
    elif kind == "ruler":
        ticks = np.where(right % 40 < 1, 30, np.where(right % 20 < 1, 20, 10))
        weights = np.where((right % 4 < 1) & (down % 40 < ticks), 1, 0)
    elif kind == "hatching":
        weights = np.where(across % max(pitch, 3) < max(pitch * rng.uniform(0.2, 0.6), 1), 1, 0)
    else:
        weights = 0.5 + 0.5 * np.sin(tau * across / max(pitch, 3))
    canvas.shade(box, weights, colours)


def draw_test(canvas: Canvas) -> None:
    """One pattern or a board of them, perhaps with a circle, a grid and a label."""
    rng, across, down = canvas.rng, canvas.rng.randint(1, 4), canvas.rng.randint(1, 3)
    width, height = COLS / across, ROWS / down
    for number in range(across * down):
        left, top = round(number % across * width), round(number // across * height)
        pattern(canvas, (left, top, round(left + width), round(top + height)))
    if rng.random() < 0.4:
        canvas.line(ring(COLS / 2, ROWS / 2, 170, 170), WHITE, rng.randint(1, 3))
        for x in range(0, COLS, 32):
            canvas.line([(x, 0), (x, ROWS)], WHITE)
    if rng.random() < 0.4:
        canvas.view((176, 170, 336, 214))[:] = BLACK
        canvas.text(
            (190, 180),
            f"{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}.{rng.randint(0, 99):02d}",
            MONO[1],
            24,
            WHITE,
        )


def draw_map(canvas: Canvas) -> None:
    """Areas, contours, streets and roads with edges, names with halos."""
    rng, light = canvas.rng, canvas.rng.random() < 0.75
    level = (0.8, 1) if light else (0.1, 0.3)
    canvas.pixels[:] = colour(rng, (0, 0.2), level)
    heights = fractal(rng, canvas.pixels.shape, 2, 3)
    for step in np.arange(0.15, 0.9, rng.choice((0.06, 0.12, 0.3))):
        outlines, _ = cv2.findContours((heights > step).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for points in outlines:
            if step < 0.3:
                canvas.polygon(points[:, 0] / canvas.scale, colour(rng, (0.1, 0.4), level))
            canvas.line(points[:, 0] / canvas.scale, colour(rng, (0.2, 0.5), (0.5, 0.8)), 1, True)
    angle, pitch = rng.random() * tau, rng.uniform(14, 50)
    along, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    x, y = place(rng)
    for number in range(-5, 6):
        for one, other in ((along, aside), (aside, along)):
            middle = np.array([x, y]) + one * number * pitch
            canvas.line(
                [middle - other * 5 * pitch, middle + other * 5 * pitch],
                WHITE if light else (90, 90, 90),
                rng.choice((1, 2)),
            )
    for _ in range(rng.randint(4, 14)):
        points, width, hue = curve(rng, 200), rng.choice((0, 2, 4, 6)), vivid(rng)
        canvas.line(points, hue if width == 0 else colour(rng, (0.3, 0.8), (0.3, 0.6)), width + 2 if width else 1)
        if width:
            canvas.line(points, hue, width)
    ink, halo = (BLACK, WHITE) if light else (WHITE, BLACK)
    for _ in range(rng.randint(5, 30)):
        x, y = place(rng)
        font, size = rng.choice(SANS), size_of_text(rng, 7, 20)
        canvas.polygon(ring(x - 5, y + size / 2, 2, 2), vivid(rng))
        canvas.text((x, y), words_within(rng, font, size, 80), font, size, ink, halo)


def draw_plain(canvas: Canvas) -> None:
    """One colour with a word, a line, a box or a shape or two."""
    rng, (paper, ink) = canvas.rng, pair(canvas.rng)
    canvas.pixels[:] = paper
    for _ in range(rng.randint(1, 2)):
        x, y = place(rng, 80)
        kind, size = rng.choice(("word", "line", "box", "shape")), rng.uniform(5, 70)
        if kind == "word":
            font, size = rng.choice(SANS + SERIF), size_of_text(rng, 9)
            canvas.text((x - 70, y), words_within(rng, font, size, 300), font, size, ink)
        elif kind == "line":
            canvas.line([(x, y), place(rng)], ink, rng.choice((1, 1, 2, 5)))
        elif kind == "box":
            canvas.frame(
                (x - size, y - size, x + size, y + size), ink, rng.choice((None, vivid(rng))), rng.randint(1, 4)
            )
        else:
            canvas.polygon(rng.choice((star(rng, x, y, size), ring(x, y, size, size))), vivid(rng))
