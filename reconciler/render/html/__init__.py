"""Pure: an environment -> one page of HTML that is complete in itself."""

from reconciler.render.html.overview import Endpoint, Overview
from reconciler.render.html.page import page_html

__all__ = ["Endpoint", "Overview", "page_html"]
