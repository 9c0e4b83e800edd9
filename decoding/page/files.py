"""Where the files lie that the page is made of."""

from importlib.resources import files
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PLOTLY = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"
