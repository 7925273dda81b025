"""Commands for use inside a code host: comment, approved plan, drift issue, proposal."""
