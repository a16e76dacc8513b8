"""Templates of two places: ours first, then Flower's."""

from pathlib import Path

from tornado.template import BaseLoader, Template

_OURS = Path(__file__).parents[1] / "templates"
_STOCK = "flower/"  # `{% extends "flower/tasks.html" %}` is Flower's own, when ours has the same name


class TemplateLoader(BaseLoader):
    """Finds a template among ours, else among Flower's; both are flat folders.

    Raises FileNotFoundError for a name that neither has.
    """

    def __init__(self, flower_templates: str) -> None:
        super().__init__()
        self._flower = Path(flower_templates)

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:
        """Names are absolute: the folders have no subfolders."""
        return name

    def _create_template(self, name: str) -> Template:
        if name.startswith(_STOCK):
            path = self._flower / name.removeprefix(_STOCK)
        else:
            path = _OURS / name
            if not path.is_file():
                path = self._flower / name
        return Template(path.read_bytes(), name=name, loader=self)
