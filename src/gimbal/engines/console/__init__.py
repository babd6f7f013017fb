"""The console's design system: pages and their registry, layout, components, charts, and the static files behind them.

It knows no noun. Capabilities declare pages in their `pages.py` with `@page` and render templates that extend
`console/layout.html`; `faces/server` mounts what `console.Console` answers. It hands over to nobody.
"""
