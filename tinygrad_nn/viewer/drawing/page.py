"""A drawing as one HTML page that needs no other file."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; font: 15px/1.5 "DejaVu Sans", Verdana, sans-serif; color: #15202B; background: #fff; }
header { padding: 1.2rem 1.5rem 0; }
h1 { margin: 0; font-size: 1.25rem; font-weight: 600; }
figure { margin: 0; padding: 1rem 1.5rem; overflow: auto; }
svg { display: block; }
svg .node:hover, svg .edge:hover { filter: drop-shadow(0 0 3px #5C7FA8); cursor: help; }
details { padding: 0 1.5rem 1.5rem; }
summary { cursor: pointer; color: #5F6B7A; }
pre { overflow: auto; font: 13px/1.6 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media print { details { display: none; } figure { overflow: visible; } svg { max-width: 100%; height: auto; } }
"""


def to_html(svg: str, title: str, text: str) -> str:
    """The picture under its title, and the same graph in words for whoever cannot see it or wants to copy from it."""
    name = escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{name}</h1></header>
<figure>
{svg}
</figure>
<details><summary>The same in words</summary>
<pre>{escape(text)}</pre>
</details>
</body>
</html>
"""
