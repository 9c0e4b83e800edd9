"""Where the files lie that the page is made of."""

from importlib.resources import files
from pathlib import Path

_INSTALLED = Path(__file__).resolve().with_name("assets")
_CLONED = Path(__file__).resolve().parents[2] / "assets"

ASSETS = _INSTALLED if _INSTALLED.is_dir() else _CLONED
PLOTLY = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"
