"""Our pages in Flower's own menu, which has no place for others' in its template."""

from collections.abc import Callable
from typing import Any

from tornado.escape import to_unicode, xhtml_escape

PAGES = (("dead_letters", "Dead letters"), ("inference", "Inference"))
_END_OF_MENU = "</ul>"  # the first one closes Flower's own entries


def menu_of(handler: Any, active_tab: str) -> Callable[[bytes], str]:
    """What puts our entries behind Flower's, for `{% apply %}`."""

    def with_ours(html: bytes) -> str:
        entries = "".join(_entry(handler.reverse_url(name), label, name == active_tab) for name, label in PAGES)
        menu: str = to_unicode(html)
        return menu.replace(_END_OF_MENU, entries + _END_OF_MENU, 1)

    return with_ours


def _entry(url: str, label: str, active: bool) -> str:
    state = ' active" aria-current="page' if active else ""
    return f'<li class="nav-item"><a class="nav-link{state}" href="{xhtml_escape(url)}">{xhtml_escape(label)}</a></li>'
