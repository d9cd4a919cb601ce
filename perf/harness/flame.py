"""Flame graphs: stacks of perf as a tree of rectangles in one SVG file, without scripts."""

import html
import zlib

WIDTH, ROW, MARGIN, CHARACTER = 1200, 17, 8, 6.4
# Frames narrower than this are left out: nobody could see them.
NARROWEST = 0.4
# Hue and range of hues: what is ours is warm, what is the kernel's cool.
USER_HUES, KERNEL_HUES = (10, 45), (190, 40)


class Frame:
    """A function in its place in the stacks, and how many samples have it there."""

    def __init__(self, name, is_kernel):
        self.name, self.is_kernel, self.samples, self.callees = name, is_kernel, 0, {}

    def add(self, stack):
        """`stack` is of (name, is kernel), the outermost first."""
        frame = self
        frame.samples += 1
        for key in stack:
            frame = frame.callees.setdefault(key, Frame(*key))
            frame.samples += 1

    def depth(self):
        return 1 + max((callee.depth() for callee in self.callees.values()), default=0)


def tree(stacks):
    root = Frame("all", False)
    for stack in stacks:
        root.add(stack)
    return root


def color(frame):
    base, spread = KERNEL_HUES if frame.is_kernel else USER_HUES
    place = zlib.crc32(frame.name.encode())
    return f"hsl({base + place % spread},{60 + place // 64 % 20}%,{62 + place // 4096 % 14}%)"


def rectangle(frame, left, top, width, total):
    share = f"{frame.samples / total:.1%}"
    title = html.escape(f"{frame.name}: {share}")
    box = (f'<g><title>{title}</title><rect x="{left:.1f}" y="{top}" width="{max(width - 0.3, 0.2):.1f}" '
           f'height="{ROW - 1}" rx="1" fill="{color(frame)}"/>')
    room = int((width - 4) / CHARACTER)
    if room >= 3:
        text = frame.name if len(frame.name) <= room else frame.name[: room - 1] + "…"
        box += f'<text x="{left + 2:.1f}" y="{top + ROW - 5}">{html.escape(text)}</text>'
    return box + "</g>"


def rectangles(frame, left, level, scale, total, height):
    width = frame.samples * scale
    if width < NARROWEST:
        return
    yield rectangle(frame, left, height - MARGIN - (level + 1) * ROW, width, total)
    for _, callee in sorted(frame.callees.items()):
        yield from rectangles(callee, left, level + 1, scale, total, height)
        left += callee.samples * scale


def svg(stacks, title):
    """The stacks as a picture. The same stacks give the same bytes."""
    root = tree(stacks)
    height = root.depth() * ROW + 2 * MARGIN + 24
    scale = (WIDTH - 2 * MARGIN) / max(root.samples, 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="monospace" font-size="10.5">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-size="14">{html.escape(title)}</text>',
        *rectangles(root, MARGIN, 0, scale, root.samples, height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
