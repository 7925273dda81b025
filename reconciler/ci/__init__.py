"""What only makes sense inside a code host: comment, approved plan, drift issue, proposal."""
