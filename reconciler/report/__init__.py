"""Pure: an environment -> one page of HTML that is complete in itself."""

from reconciler.report.overview import Endpoint, Overview
from reconciler.report.page import page_html

__all__ = ["Endpoint", "Overview", "page_html"]
