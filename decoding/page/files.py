"""Where the files lie that the page is made of."""

from importlib.resources import files
from pathlib import Path

_INSTALLED = Path(__file__).resolve().with_name("assets")
_CLONED = Path(__file__).resolve().parents[2] / "assets"

ASSETS = _INSTALLED if _INSTALLED.is_dir() else _CLONED
# In the order in which they are read.
STYLES = (
    "styles/page.css",
    "styles/memory.css",
    "styles/wheel.css",
    "styles/keys.css",
    "styles/inspector.css",
    "styles/trace.css",
    "styles/trust.css",
    "styles/score.css",
    "styles/marks.css",
    "styles/plan.css",
)
PLOTLY = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"
