"""Bokeh's parts that the pages are made of, or one sentence that says what brings them."""

try:
    from bokeh.core.properties import value
    from bokeh.embed import components
    from bokeh.models import (
        BoxAnnotation,
        ColorBar,
        ColumnDataSource,
        CustomJS,
        CustomJSTickFormatter,
        FixedTicker,
        HoverTool,
        Legend,
        LegendItem,
        LinearColorMapper,
        NumeralTickFormatter,
        Range1d,
        Span,
        TapTool,
    )
    from bokeh.plotting import figure
    from bokeh.resources import Resources
except ImportError as error:
    raise ImportError(
        'Pages with plots are drawn by Bokeh, which is missing; pip install "jaxrnn[show]" '
        "brings it."
    ) from error

__all__ = [
    "BoxAnnotation",
    "ColorBar",
    "ColumnDataSource",
    "CustomJS",
    "CustomJSTickFormatter",
    "FixedTicker",
    "HoverTool",
    "Legend",
    "LegendItem",
    "LinearColorMapper",
    "NumeralTickFormatter",
    "Range1d",
    "Resources",
    "Span",
    "TapTool",
    "components",
    "figure",
    "value",
]
